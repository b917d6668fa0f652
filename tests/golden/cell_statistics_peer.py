"""The other side of tests/measure/cell_statistics_peer_test.cpp: cells of real annotated images, measured by
scikit-image and numpy.

    python cell_statistics_peer.py DATA OUT

Per set, OUT/NAME.labels.npy (int32), OUT/NAME.pixels.npy (float32, channels last) and OUT/NAME.table.npy (a row of
COLUMNS per cell). 77 is the exit status where scikit-image is missing.
"""

import sys
from pathlib import Path

try:
    import numpy as np
    from skimage import io, measure, morphology
except ImportError:
    sys.exit(77)

SETS = {
    "nuclei": ("nuclei/validation", ["nuclear.tif"]),
    "hela": ("hela_joint/set1", ["phase.tif", "nuclear.tif"]),
    "ecoli": ("ecoli/set1", ["phase.tif"]),
}
PERCENTILES = (5, 25, 50, 75, 95)


def row_of(region, pixels, background):
    row = [
        region.label, region.area, *region.bbox, region.area_convex, *region.centroid, region.axis_major_length,
        region.axis_minor_length, region.eccentricity, region.orientation, region.solidity, region.perimeter,
    ]  # fmt: skip
    rows, columns = region.coords.T
    for channel in range(pixels.shape[2]):
        values = pixels[rows, columns, channel].astype(np.float64)
        row += [values.mean(), values.sum(), values.min(), values.max(), *np.percentile(values, PERCENTILES)]
        row.append(background[channel])
    return row


def main():
    data, out = Path(sys.argv[1]), Path(sys.argv[2])
    for name, (folder, channels) in SETS.items():
        if not (data / folder / "interior.png").exists():
            continue
        interior = io.imread(data / folder / "interior.png") > 0
        # The 5-pixel cross parts cells whose interiors touch.
        cells = measure.label(morphology.erosion(interior, morphology.disk(1)), connectivity=2).astype(np.int32)
        pixels = np.stack([io.imread(data / folder / channel) for channel in channels], -1).astype(np.float32)
        background = [np.median(pixels[..., k][cells == 0].astype(np.float64)) for k in range(len(channels))]
        table = [row_of(region, pixels, background) for region in measure.regionprops(cells)]
        np.save(out / f"{name}.labels.npy", cells)
        np.save(out / f"{name}.pixels.npy", pixels)
        np.save(out / f"{name}.table.npy", np.array(table, np.float64))
        print(name, len(table))


if __name__ == "__main__":
    main()
