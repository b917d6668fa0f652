"""Writes TIFF files of many kinds with tifffile, or checks septum's files with it.

    make_tiff_matrix.py write FOLDER   FOLDER/NAME.tif and the pixels as FOLDER/NAME.npy, and FOLDER/list.txt
    make_tiff_matrix.py check FOLDER   compares every FOLDER/NAME.tif with FOLDER/NAME.npy

Exits with 77 where tifffile is not installed.
"""

import itertools
import pathlib
import sys

try:
    import numpy
    import tifffile
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

TYPES = ["bool", "uint8", "uint16", "uint32", "int8", "int16", "int32", "float16", "float32", "float64"]
COMPRESSIONS = ["none", "packbits", "lzw", "zlib"]


def pixels(dtype, shape, seed):
    """Smooth ramps with noise, over the whole range of small types; exact in float32."""
    rng = numpy.random.default_rng(seed)
    rows, columns = numpy.mgrid[0 : shape[0], 0 : shape[1]]
    plane = (rows * 3 + columns * 5) % 97 + rng.integers(0, 4, shape[:2])
    image = plane if len(shape) == 2 else numpy.stack([plane * (k + 1) for k in range(shape[2])], -1)
    if dtype == "bool":
        return image % 2 == 1
    image = image % 128 if dtype in ("int8", "uint8") else image * 37
    if dtype == "uint16":
        image = image % 65536
    if dtype.startswith("int"):
        image = image - 64
    if dtype.startswith("float"):
        image = image / 8
    return image.astype(dtype)


def supported(compression, predictor, dtype):
    """Whether the cell is legal; LZW and some predictors need imagecodecs."""
    if dtype == "bool":
        return predictor == 1 and compression in ("none", "packbits", "zlib")
    if compression in ("none", "packbits"):
        return predictor == 1
    if predictor == 3:
        return dtype in ("float16", "float32", "float64")
    return True


def write(folder):
    """Every legal cell of types, byte orders, classic and big files, strips and tiles, schemes,
    predictors, samples side by side and in planes."""
    names = []
    left_out = 0
    layouts = itertools.product(["<", ">"], [False, True], ["strip", "tile"], [1, 3, 4], ["contig", "separate"])
    kinds = itertools.product(TYPES, COMPRESSIONS, [1, 2, 3])
    cells = [kind + layout for kind, layout in itertools.product(kinds, layouts)]
    for seed, (dtype, compression, predictor, order, big, blocks, samples, planar) in enumerate(cells):
        if not supported(compression, predictor, dtype) or (samples == 1 and planar == "separate"):
            continue
        if dtype == "bool" and samples > 1:
            continue
        image = pixels(dtype, (37, 45) if samples == 1 else (37, 45, samples), seed)
        endian = "be" if order == ">" else "le"
        size = "big" if big else "classic"
        name = f"{dtype}_{compression}{predictor}_{endian}_{size}_{blocks}_{samples}_{planar}"
        stored = image if planar == "contig" or samples == 1 else numpy.moveaxis(image, -1, 0)
        options = {"rowsperstrip": 1 + seed % 9} if blocks == "strip" else {"tile": (16, 32)}
        if samples > 1:
            options["planarconfig"] = planar
        if samples == 4:
            options["extrasamples"] = ["unassalpha"]
        try:
            tifffile.imwrite(
                folder / f"{name}.tif",
                stored,
                byteorder=order,
                bigtiff=big,
                photometric="minisblack" if samples == 1 else "rgb",
                compression=None if compression == "none" else compression,
                predictor=predictor if predictor > 1 else None,
                metadata=None,
                **options,
            )
        except (ValueError, KeyError, ImportError, NotImplementedError) as reason:
            print(f"left out {name}: {reason}")
            (folder / f"{name}.tif").unlink(missing_ok=True)
            left_out += 1
            continue
        numpy.save(folder / f"{name}.npy", numpy.ascontiguousarray(image, dtype="float32"))
        names.append(name)
    (folder / "list.txt").write_text("\n".join(names) + "\n")
    print(f"{len(names)} files, {left_out} left out")


def check(folder):
    wrong = 0
    for path in sorted(folder.glob("*.tif")):
        expected = numpy.load(path.with_suffix(".npy"))
        found = tifffile.imread(path)
        if found.shape != expected.shape or not numpy.array_equal(found, expected):
            print(f"{path.name}: {found.shape} {found.dtype}, expected {expected.shape} {expected.dtype}")
            wrong += 1
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    {"write": write, "check": check}[sys.argv[1]](pathlib.Path(sys.argv[2]))
