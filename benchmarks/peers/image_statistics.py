"""Seconds that scikit-image and scikit-learn take for what benchmarks/statistics.cpp does, on the same input."""

from __future__ import annotations

import json
import sys
import time

import numpy as np
from skimage import measure
from sklearn.mixture import GaussianMixture

PROPERTIES = (
    "label", "area", "bbox", "centroid", "axis_major_length", "axis_minor_length", "eccentricity", "orientation",
    "area_convex", "solidity", "perimeter", "intensity_mean", "intensity_min", "intensity_max",
)  # fmt: skip


class Sequence:
    """A linear congruential sequence, the same in C++."""

    def __init__(self):
        self.state = 12345

    def __call__(self, bound: int) -> int:
        self.state = (self.state * 1664525 + 1013904223) % 2**32
        return (self.state >> 8) % bound


def draw():
    r, c = np.mgrid[:1080, :1280]
    pixels = np.stack([1000 + (r * 37 + c * 91) % 1009, (r * 53 + c * 17) % 4093], -1).astype(np.float32)
    cells = np.zeros((1080, 1280), np.int32)
    following = Sequence()
    count = 0
    for i in range(30):
        for j in range(45):
            a, b = 8 + following(8), 6 + following(6)
            row, column = 36 * i + 18 + following(3) - 1, 28 * j + 14 + following(3) - 1
            count += 1
            box = np.s_[max(row - a, 0) : row + a + 1, max(column - b, 0) : column + b + 1]
            inside = ((r[box] - row) * b) ** 2 + ((c[box] - column) * a) ** 2 <= (a * b) ** 2
            cells[box][inside] = count
    return cells, pixels


def two_bells(count: int):
    following = Sequence()
    numbers = []
    for k in range(count):
        high = k % 3 == 0
        total = sum(following(241 if high else 161) for _ in range(12))
        numbers.append(total + (-600 if high else -500) + 1000)
    return np.array(numbers, np.float64)


def percentiles(region, values):
    return np.percentile(values[region], (5, 25, 50, 75, 95), axis=0)


def statistics(cells, pixels):
    table = measure.regionprops_table(cells, pixels, properties=PROPERTIES, extra_properties=(percentiles,))
    background = np.median(pixels[cells == 0], axis=0)
    return table, background


def median_seconds(work, repeats: int) -> float:
    work()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return sorted(seconds)[len(seconds) // 2]


def main():
    cells, pixels = draw()
    numbers = two_bells(5000)[:, None]
    mixture = lambda: GaussianMixture(2, tol=1e-12, max_iter=5000, random_state=0).fit(numbers)  # noqa: E731
    fitted = mixture()
    order = np.argsort(fitted.means_.ravel())
    result = {
        "cell_statistics": median_seconds(lambda: statistics(cells, pixels), 3),
        "mixture": median_seconds(mixture, 5),
    }
    print(json.dumps(result, indent=0))
    print(
        f"cells {cells.max()}, weights {fitted.weights_[order]}, means {fitted.means_.ravel()[order]}, "
        f"deviations {np.sqrt(fitted.covariances_.ravel()[order])}",
        file=sys.stderr,
    )


if __name__ == "__main__":
    main()
