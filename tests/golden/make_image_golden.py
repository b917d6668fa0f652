"""Writes image_golden.inc: small synthetic images and what numpy, scipy and scikit-image make of them.

Run by hand (python3 make_image_golden.py, with numpy, scipy and scikit-image 0.26) when a definition
changes; the result is committed, so the tests need no Python.
"""

from pathlib import Path

import numpy as np
import scipy
import skimage
from scipy import ndimage
from skimage import measure, morphology, segmentation

OUT = Path(__file__).with_name("image_golden.inc")
rng = np.random.default_rng(20240607)
lines = []


def number(value, digits):
    value = float(value)
    return f"{value:.0f}." if value == int(value) and abs(value) < 1e15 else f"{value:.{digits}g}"


def put_mask(name, mask):
    lines.append(f"inline constexpr std::string_view {name}[] = {{")
    lines.extend(f'    "{"".join("#" if v else "." for v in row)}",' for row in mask)
    lines.append("};")


def put_labels(name, labels):
    """One character per pixel: '0' is 0, and so on through the printable characters."""
    assert 0 <= labels.min() and labels.max() <= ord("~") - ord("0"), name
    lines.append(f"inline constexpr std::string_view {name}[] = {{")
    for row in labels:
        text = "".join(chr(ord("0") + int(v)) for v in row)
        lines.append(f'    "{text}",'.replace("\\", "\\\\").replace("?", "\\?"))
    lines.append("};")


def put_floats(name, array):
    lines.append(f"inline constexpr double {name}[] = {{")
    row = "   "
    for value in array.ravel():
        item = f" {number(value, 12)},"
        if len(row) + len(item) > 100:
            lines.append(row)
            row = "   "
        row += item
    lines.extend([row, "};"])


def blobs(shape, sigma, level):
    smooth = ndimage.gaussian_filter(rng.standard_normal(shape), sigma)
    return smooth > level * smooth.std()


def special_shapes():
    image = np.zeros((46, 150), np.int32)
    image[0, 0] = 1
    image[2, 3:11] = 2
    image[4:12, 2] = 3
    for k in range(9):
        image[4 + k, 6 + k] = 4
    image[4:15, 22:35] = 5
    image[7:12, 26:31] = 0
    image[17:22, 5:140] = 6
    image[24, 20:84] = 7
    image[25, 21:84] = 7
    image[28:31, 2:4] = 8
    image[33:36, 30:33] = 8
    rr, cc = np.mgrid[:46, :150]
    image[((rr - 34) / 7) ** 2 + ((cc - 60) / 14) ** 2 <= 1] = 9
    image[(abs(rr - 34) + abs(cc - 100)) <= 6] = 10
    image[40:46, 144:150] = 11
    image[38:44, 110] = 12
    image[43, 110:118] = 12
    return image


def intensity_of(shape):
    """Intensities that the tests compute as well."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return ((rows * 37 + columns * 91) % 1000).astype(np.float64)


def put_regions(name, labels):
    put_labels(f"{name}_labels", labels)
    lines.append(f"inline constexpr region {name}_regions[] = {{")
    for r in measure.regionprops(labels, intensity_image=intensity_of(labels.shape)):
        values = [
            r.area, *r.centroid, *r.bbox, r.axis_major_length, r.axis_minor_length,
            r.eccentricity, r.orientation, r.area_convex, r.perimeter, r.intensity_mean,
            r.intensity_min, r.intensity_max,
        ]  # fmt: skip
        inertia = r.inertia_tensor
        scale = max(abs(inertia).max(), 1e-300)
        # With equal axes the orientation is decided by rounding errors.
        stable = abs(inertia[0, 0] - inertia[1, 1]) + abs(inertia[0, 1]) > 1e-9 * scale
        lines.append(f"    {{{r.label}, {str(stable).lower()},")
        lines.append(f"     {{{', '.join(number(v, 13) for v in values)}}}}},")
    lines.append("};")


def normalize(image, window):
    scaled = image.astype(np.float64) / np.percentile(image, 50)
    return scaled - ndimage.uniform_filter(scaled, size=window, mode="reflect")


def main():
    lines.extend(
        [
            "// Written by make_image_golden.py with "
            f"numpy {np.__version__}, scipy {scipy.__version__}, scikit-image {skimage.__version__}.",
            "#pragma once",
            "#include <array>",
            "#include <cstdint>",
            "#include <string_view>",
            "",
            "namespace golden {",
            "/// label, whether the orientation is defined, then area, centroid row and column, box",
            "/// (first row, first column, end row, end column), axes, eccentricity, orientation, convex",
            "/// area, perimeter, mean, minimum and maximum intensity",
            "struct region {",
            "  int label;",
            "  bool oriented;",
            "  std::array<double, 16> values;",
            "};",
        ]
    )
    noise = rng.random((19, 41)) < 0.5
    put_mask("noise", noise)
    put_labels("noise_components_4", measure.label(noise, connectivity=1))
    put_labels("noise_components_8", measure.label(noise, connectivity=2))
    four_values = rng.integers(0, 4, (9, 17))
    put_labels("values", four_values)
    put_labels("values_components_4", measure.label(four_values, background=0, connectivity=1))
    put_labels("values_components_8", measure.label(four_values, background=0, connectivity=2))

    put_mask("noise_dilated_disk_1", ndimage.binary_dilation(noise, morphology.disk(1)))
    sparse = rng.random((25, 70)) < 0.02
    dense = rng.random((25, 70)) < 0.98
    put_mask("sparse", sparse)
    put_mask("dense", dense)
    put_mask("sparse_dilated_disk_4", ndimage.binary_dilation(sparse, morphology.disk(4)))
    put_mask("sparse_dilated_square_2", ndimage.binary_dilation(sparse, np.ones((5, 5))))
    plus = np.zeros((7, 7))
    plus[3] = plus[:, 3] = 1
    put_mask("sparse_dilated_cross_3", ndimage.binary_dilation(sparse, plus))
    put_mask("dense_eroded_disk_1", morphology.erosion(dense, morphology.disk(1)))
    put_mask("dense_eroded_disk_4", morphology.erosion(dense, morphology.disk(4)))
    rings = blobs((30, 70), 1.2, 0.1)
    put_mask("rings", rings)
    put_mask("rings_filled", ndimage.binary_fill_holes(rings))

    put_regions("special", special_shapes())
    cells = measure.label(blobs((64, 96), 2.5, 0.9), connectivity=2)
    put_regions("cells", cells)

    small = np.round(rng.random((9, 14)) * 500 + 50)
    put_floats("raw_even", small)
    put_floats("normalized_even_5", normalize(small, 5))
    put_floats("normalized_even_31", normalize(small, 31))
    odd = np.round(rng.random((7, 5)) * 500 + 50)
    put_floats("raw_odd", odd)
    put_floats("normalized_odd_3", normalize(odd, 3))

    foreground = blobs((40, 60), 2.0, -0.4)
    put_mask("distance_mask", foreground)
    squared = np.round(ndimage.distance_transform_edt(foreground) ** 2).astype(np.int64)
    put_labels("squared_distance", squared)

    relief = np.round(ndimage.gaussian_filter(rng.standard_normal((40, 60)), 2) * 40).astype(np.int64)
    relief -= relief.min()
    distinct = (np.arange(40 * 60) * 997 % 2400).reshape(40, 60)
    seeds = np.zeros((40, 60), np.int32)
    for k, (r, c) in enumerate(rng.permutation(40 * 60)[:12, None] // [60, 1] % [40, 60], 1):
        seeds[r, c] = k
    inside = blobs((40, 60), 3.0, -0.6) | (seeds > 0)
    put_labels("watershed_seeds", seeds)
    put_mask("watershed_mask", inside)
    put_labels("relief", relief)
    for connectivity in (1, 2):
        flooded = segmentation.watershed(relief, seeds, mask=inside, connectivity=connectivity)
        put_labels(f"watershed_{4 * connectivity}", flooded)
        flooded = segmentation.watershed(distinct, seeds, mask=inside, connectivity=connectivity)
        put_labels(f"watershed_distinct_{4 * connectivity}", flooded)
    flat = segmentation.watershed(np.zeros_like(relief), seeds, mask=inside, connectivity=1)
    put_labels("watershed_flat_4", flat)
    patches = ndimage.grey_dilation(seeds, footprint=morphology.disk(3))
    put_labels("seed_patches", patches)
    flat = segmentation.watershed(np.zeros_like(relief), patches, mask=inside, connectivity=1)
    put_labels("watershed_patches_4", flat)

    lines.append("}  // namespace golden")
    OUT.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{OUT.name}: {OUT.stat().st_size} bytes")


main()
