"""Writes contour_golden.inc: morphological active contours as scikit-image evolves them.

Run by hand (python3 make_contour_golden.py [FOLDER OF ANNOTATED IMAGES], with numpy, scipy, tifffile and
scikit-image 0.26); the result is committed, so the tests need no Python. Of the real images only a
hash of the result is kept.
"""

import itertools
import pathlib
import sys

import numpy as np
import skimage
import tifffile
from scipy import ndimage
from skimage.segmentation import morphsnakes

OUT = pathlib.Path(__file__).with_name("contour_golden.inc")
lines = [
    f"// Written by make_contour_golden.py with scikit-image {skimage.__version__}.",
    "#pragma once",
    "#include <cstdint>",
    "#include <string_view>",
    "",
    "namespace golden {",
]


def from_the_first_phase(function, *args, **options):
    """The peer keeps the turn of its smoothing in a global; every contour here begins anew."""
    morphsnakes._curvop.funcs = itertools.cycle(
        [
            lambda u: morphsnakes.sup_inf(morphsnakes.inf_sup(u)),
            lambda u: morphsnakes.inf_sup(morphsnakes.sup_inf(u)),
        ]
    )
    return function(*args, **options)


def chan_vese(image, start, iterations, smoothing=1, inside=1, outside=1):
    return from_the_first_phase(
        morphsnakes.morphological_chan_vese,
        image,
        iterations,
        init_level_set=start,
        smoothing=smoothing,
        lambda1=inside,
        lambda2=outside,
    )


def geodesic(image, start, iterations, smoothing=1, threshold="auto", balloon=0):
    return from_the_first_phase(
        morphsnakes.morphological_geodesic_active_contour,
        image,
        iterations,
        init_level_set=start,
        smoothing=smoothing,
        threshold=threshold,
        balloon=balloon,
    )


def put_mask(name, mask):
    lines.append(f"inline constexpr std::string_view {name}[] = {{")
    lines.extend(f'    "{"".join("#" if v else "." for v in row)}",' for row in mask)
    lines.append("};")


def scene(rows, columns, noise):
    """Blobs and noise by exact arithmetic, so that C++ makes the same; see contour_test.cpp."""
    r, c = np.mgrid[:rows, :columns].astype(np.float64)
    value = np.zeros((rows, columns))
    for blob, (row, column, size) in enumerate([(12, 14, 30), (25, 31, 60), (30, 9, 20), (8, 36, 12)]):
        value = value + (1 + blob / 4) / (1 + ((r - row) ** 2 + (c - column) ** 2) / size)
    grain = (r * 7919 + c * 10473 + r * c * 31) % 997 / 997
    return (value + noise * grain).astype(np.float32)


def discs(rows, columns):
    r, c = np.mgrid[:rows, :columns]
    start = np.zeros((rows, columns), np.int8)
    for row, column, radius in [(12, 14, 5), (25, 31, 7), (33, 4, 4), (0, 40, 6)]:
        start[(r - row) ** 2 + (c - column) ** 2 <= radius**2] = 1
    return start


image = scene(40, 45, 0.5)
start = discs(40, 45)
put_mask("start", start)
double = image.astype(np.float64)
put_mask("chan_vese_1", chan_vese(double, start, 1))
put_mask("chan_vese_2", chan_vese(double, start, 2))
put_mask("chan_vese_7", chan_vese(double, start, 7))
put_mask("chan_vese_60", chan_vese(double, start, 60))
put_mask("chan_vese_rough", chan_vese(double, start, 9, smoothing=0))
put_mask("chan_vese_smooth", chan_vese(double, start, 9, smoothing=3))
put_mask("chan_vese_inside", chan_vese(double, start, 12, inside=2))
put_mask("chan_vese_outside", chan_vese(double, start, 12, outside=1.5))
edge_image = scene(40, 45, 0.2)
lines.append("/// a stopping image: the geodesic contours below run on `scene` with less noise")
edge_double = edge_image.astype(np.float64)
put_mask("geodesic_0", geodesic(edge_double, start, 8))
put_mask("geodesic_grown", geodesic(edge_double, start, 8, balloon=1))
put_mask("geodesic_shrunk", geodesic(edge_double, start, 4, balloon=-1))
put_mask("geodesic_threshold", geodesic(edge_double, start, 6, balloon=1.5, threshold=0.9, smoothing=2))



def fnv1a(data):
    value = 0xCBF29CE484222325
    for byte in data.tobytes():
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return value


lines.append("""
/// A contour on a real image: the hash of the mask after so many iterations, and its set pixels.
struct real_contour {
  std::string_view image;
  std::string_view start;
  int iterations;
  int smoothing;
  double balloon;  ///< of the geodesic contour; of the other -9
  std::uint64_t hash;
  int pixels;
};""")
lines.append("inline constexpr real_contour real_contours[] = {")
if len(sys.argv) > 1:
    root = pathlib.Path(sys.argv[1])

    def put_real(image, start, iterations, smoothing, balloon):
        pixels = tifffile.imread(root / image).astype(np.float64)
        first = (skimage.io.imread(root / start) > 0).astype(np.int8)
        if balloon is None:
            result = chan_vese(pixels, first, iterations, smoothing=smoothing)
        else:
            result = geodesic(pixels, first, iterations, smoothing=smoothing, balloon=balloon)
        result = result.astype(np.uint8)
        lines.append(
            f'    {{"{image}", "{start}", {iterations}, {smoothing}, '
            f"{-9 if balloon is None else balloon}, 0x{fnv1a(result):016X}, {result.sum()}}},"
        )

    nuclei = "hela_validation/published_2016/nuclear_mask.png"
    cells = "hela_validation/published_2016/cytoplasm_mask.png"
    put_real("hela_validation/phase.tif", nuclei, 40, 1, None)
    put_real("hela_validation/phase.tif", cells, 25, 2, None)
    put_real("hela_validation/nuclear.tif", nuclei, 120, 1, None)
    put_real("hela_validation/published_2016/cytoplasm_interior.tif", nuclei, 120, 1, None)
    put_real("hela_validation/published_2017/cytoplasm_interior.tif", nuclei, 60, 3, None)
    put_real("ecoli/set1/phase.tif", "ecoli/set1/interior.png", 30, 1, None)
    put_real("hela_validation/published_2016/cytoplasm_edge.tif", nuclei, 30, 1, 0)
    put_real("hela_validation/published_2016/cytoplasm_interior.tif", nuclei, 20, 1, 1)
    put_real("hela_validation/phase.tif", cells, 12, 2, -1)
lines += ["};", "}  // namespace golden"]
OUT.write_text("\n".join(lines) + "\n")
