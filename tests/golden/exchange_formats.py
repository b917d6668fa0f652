"""The other side of septum's files: tifffile, roifile and numpy.

    exchange_formats.py write FOLDER   files of theirs, with what septum has to find in them as .npy
    exchange_formats.py check FOLDER   compares septum's files with what septum says is in them

Exits with 77 where a package is not installed.
"""

import pathlib
import sys

try:
    import numpy
    import roifile
    import tifffile
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

PIXEL_SIZE_UM = 0.325
INTERVAL_S = 300.0


def outline(points):
    return numpy.asarray(points, dtype="float64")


def write(folder):
    rng = numpy.random.default_rng(5)
    film = rng.integers(0, 60000, (4, 2, 30, 40)).astype("uint16")  # frame, channel, row, column
    numpy.save(folder / "film.npy", numpy.moveaxis(film, 1, -1).astype("float32"))
    tifffile.imwrite(
        folder / "imagej.tif",
        film,
        imagej=True,
        resolution=(1 / PIXEL_SIZE_UM, 1 / PIXEL_SIZE_UM),
        metadata={"axes": "TCYX", "unit": "um", "finterval": INTERVAL_S},
    )
    tifffile.imwrite(
        folder / "ome.ome.tif",
        film,
        metadata={
            "axes": "TCYX",
            "PhysicalSizeX": PIXEL_SIZE_UM,
            "PhysicalSizeXUnit": "µm",
            "PhysicalSizeY": PIXEL_SIZE_UM,
            "PhysicalSizeYUnit": "µm",
            "TimeIncrement": INTERVAL_S,
            "TimeIncrementUnit": "s",
        },
    )
    # The channels of OME's pages come last in time: another order of the same planes.
    tifffile.imwrite(folder / "channels.ome.tif", numpy.moveaxis(film, 1, 0), metadata={"axes": "CTYX"})
    polygon = outline([[3, 5], [9, 5], [9, 12], [3, 12]])
    areas = {"0001": polygon, "0002": polygon + 20.25}
    rois = [roifile.ImagejRoi.frompoints(points, name=name) for name, points in areas.items()]
    for kind in (roifile.ROI_TYPE.FREEHAND, roifile.ROI_TYPE.TRACED):
        roi = roifile.ImagejRoi.frompoints(polygon + 40 * kind.value, name=f"{kind.value:04}")
        roi.roitype = kind
        rois.append(roi)
        areas[roi.name] = polygon + 40 * kind.value
    box = roifile.ImagejRoi(roitype=roifile.ROI_TYPE.RECT, left=2, top=60, right=12, bottom=70, name="0099")
    rois.append(box)
    areas["0099"] = outline([[2, 60], [12, 60], [12, 70], [2, 70]])
    roifile.roiwrite(folder / "RoiSet.zip", rois, mode="w")
    (folder / "names.txt").write_text("\n".join(areas) + "\n")
    for name, points in areas.items():
        numpy.save(folder / f"area_{name}.npy", points[:, ::-1].copy())  # row, column
    numpy.savez(folder / "plain.npz", a=film.astype(">i4"), b=numpy.asfortranarray(film[0, 0].astype("float64")))
    numpy.savez_compressed(folder / "packed.npz", a=film.astype("i4"), b=film[0, 0].astype("float64"))
    numpy.save(folder / "a.npy", film.astype("i4"))
    numpy.save(folder / "b.npy", film[0, 0].astype("float64"))


def check(folder):
    def same(what, found, expected):
        if not numpy.array_equal(found, expected):
            print(f"{what}: found {found}, expected {expected}")
            sys.exit(1)

    film = numpy.load(folder / "film.npy")  # frame, row, column, channel
    with tifffile.TiffFile(folder / "imagej.tif") as file:
        same("ImageJ axes", file.series[0].axes, "TCYX")
        same("ImageJ pixels", file.asarray(), numpy.moveaxis(film, -1, 1))
        same("ImageJ interval", file.imagej_metadata["finterval"], INTERVAL_S)
        same("ImageJ unit", file.imagej_metadata["unit"], "micron")
        pixels, units = file.pages[0].tags["XResolution"].value
        same("ImageJ pixel size", round(units / pixels, 6), PIXEL_SIZE_UM)
    with tifffile.TiffFile(folder / "ome.tif") as file:
        same("OME", file.is_ome, True)
        same("OME axes", file.series[0].axes, "TCYX")
        same("OME pixels", file.asarray(), numpy.moveaxis(film, -1, 1))
        said = tifffile.xml2dict(file.ome_metadata)["OME"]["Image"]["Pixels"]
        same("OME pixel size", said["PhysicalSizeX"], PIXEL_SIZE_UM)
        same("OME unit", said["PhysicalSizeXUnit"], "µm")
        same("OME interval", said["TimeIncrement"], INTERVAL_S)
        same("OME names", [channel["Name"] for channel in said["Channel"]], ["phase", "nuclear"])
    with numpy.load(folder / "arrays.npz") as arrays:
        for name in ("labels", "film"):
            same(name, arrays[name], numpy.load(folder / f"{name}.npy"))
    count = 0
    for roi in roifile.roiread(folder / "RoiSet.zip"):
        found = [ring[:-1] if len(ring) > 1 and (ring[0] == ring[-1]).all() else ring for ring in roi.coordinates(multi=True)]
        expected = sorted(folder.glob(f"ring_{roi.name}_*.npy"), key=lambda path: int(path.stem.split("_")[-1]))
        same(f"rings of {roi.name}", len(found), len(expected))
        for ring, path in zip(found, expected):
            same(path.stem, numpy.asarray(ring, dtype="float64")[:, ::-1], numpy.load(path))
            count += 1
    print(f"{count} rings are equal")
    if count < 20:
        sys.exit(1)


if __name__ == "__main__":
    {"write": write, "check": check}[sys.argv[1]](pathlib.Path(sys.argv[2]))
