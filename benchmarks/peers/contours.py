"""Seconds that scikit-image takes for what benchmarks/contours.cpp does, on the same frame.

Prints a JSON object, one number per line: seconds by the clock and pixels inside at the end. `published_contours` are the steps of
the paper's program with scipy: a Chan-Vese iteration of scikit-image's module, and the components kept apart after each.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time

import numpy as np
from scipy import ndimage
from skimage.segmentation import (
    find_boundaries,
    morphological_chan_vese,
    morphological_geodesic_active_contour,
    morphsnakes,
)

ROWS, COLUMNS, ITERATIONS = 1080, 1280, 120


def draw():
    """The frame of contours.cpp, from the same linear congruential sequence."""
    count = ROWS * COLUMNS
    noise = np.empty(count, np.int64)
    state = 12345
    for k in range(count):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        noise[k] = (state >> 8) % 1000
    r, c = np.mgrid[:ROWS, :COLUMNS]
    row, column = r % 108 - 54, c % 85 - 42
    inside = row**2 * 36**2 + column**2 * 46**2 < 36**2 * 46**2
    image = ((inside * 600 + noise.reshape(ROWS, COLUMNS)) / np.float32(1600)).astype(np.float32)
    image = image.astype(np.float64)  # the values of contours.cpp, gradients in full precision
    seeds = (abs(row) <= 6) & (abs(column) <= 6) & (c // 85 < 15)
    return image, seeds.astype(np.int8)


def from_the_first_phase():
    """The peer keeps the turn of its smoothing in a global."""
    morphsnakes._curvop.funcs = itertools.cycle(
        [
            lambda u: morphsnakes.sup_inf(morphsnakes.inf_sup(u)),
            lambda u: morphsnakes.inf_sup(morphsnakes.sup_inf(u)),
        ]
    )


def published(image, start):
    u = start
    for _ in range(ITERATIONS):
        components, _ = ndimage.label(u)
        nearest = ndimage.distance_transform_edt(
            u == 0, return_distances=False, return_indices=True
        )
        apart = ~find_boundaries(components[tuple(nearest)], mode="thick")
        u = morphological_chan_vese(image, 1, init_level_set=u) * apart
    return u


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--published", action="store_true", help="also the paper's steps (minutes)")
    options = parser.parse_args()
    image, start = draw()
    tasks = {
        "chan_vese": lambda: morphological_chan_vese(image, ITERATIONS, init_level_set=start),
        "geodesic": lambda: morphological_geodesic_active_contour(
            image, ITERATIONS, init_level_set=start, balloon=1
        ),
    }
    if options.published:
        tasks["published_contours"] = lambda: published(image, start)
    results = {}
    for name, task in tasks.items():
        from_the_first_phase()
        begin = time.perf_counter()
        u = task()
        results[name] = time.perf_counter() - begin
        results[name + "_inside"] = int((u != 0).sum())
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
