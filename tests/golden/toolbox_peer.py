"""What scikit-image and scipy make of the images that the toolbox tests put into a folder.

    toolbox_peer.py check FOLDER   reads FOLDER/labels.npy and FOLDER/raw.npy (and seeds.npy,
                                   relief.npy), writes the peers' results beside them

Exits with 77 where a package is not installed.
"""

import pathlib
import sys

try:
    import numpy
    from scipy import ndimage
    from skimage import filters, measure, segmentation
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)


def check(folder):
    labels = numpy.load(folder / "labels.npy")
    raw = numpy.load(folder / "raw.npy")
    cells = labels > 0
    numpy.save(folder / "distance.npy", ndimage.distance_transform_edt(cells).astype("float32"))
    numpy.save(folder / "outside.npy", ndimage.distance_transform_edt(~cells).astype("float32"))
    numpy.save(folder / "expanded.npy", segmentation.expand_labels(labels, 10).astype("int32"))
    relief = numpy.load(folder / "relief.npy")
    seeds = numpy.load(folder / "seeds.npy")
    flooded = segmentation.watershed(relief, seeds, mask=cells)
    numpy.save(folder / "watershed.npy", flooded.astype("int32"))
    numpy.save(folder / "otsu.npy", numpy.array([filters.threshold_otsu(raw)], dtype="float64"))
    local = raw > filters.threshold_local(raw, 15, method="median", mode="reflect")
    numpy.save(folder / "local.npy", local.astype("uint8"))
    rows = []
    for r in measure.regionprops(labels, intensity_image=raw):
        rows.append(
            [
                r.label, r.area, *r.centroid, *r.bbox, r.axis_major_length, r.axis_minor_length,
                r.eccentricity, r.orientation, r.area_convex, r.perimeter, r.intensity_mean,
                r.intensity_min, r.intensity_max,
            ]  # fmt: skip
        )
    numpy.save(folder / "regions.npy", numpy.array(rows, dtype="float64"))


if __name__ == "__main__":
    {"check": check}[sys.argv[1]](pathlib.Path(sys.argv[2]))
