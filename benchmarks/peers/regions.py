"""Seconds that scikit-image and scipy take for what benchmarks/regions.cpp does, on the same frame.

Prints two lines per task inside a JSON object: the medians by the clock and of processor time, in seconds. scikit-image and scipy use one thread here.
"""

from __future__ import annotations

import argparse
import json
import platform
import time

import numpy as np
import scipy
import skimage
from scipy import ndimage
from skimage import measure, morphology, segmentation

PROPERTIES = (
    "label", "area", "centroid", "bbox", "axis_major_length", "axis_minor_length", "eccentricity",
    "orientation", "area_convex", "solidity", "perimeter", "intensity_mean", "intensity_min",
    "intensity_max",
)  # fmt: skip


def draw(rows: int, columns: int, pitch: int = 36):
    """The frame of regions.cpp: one ellipse per square, from the same linear congruential sequence."""
    r, c = np.mgrid[:rows, :columns]
    intensity = (1000 + (r * 37 + c * 91) % 1009).astype(np.float32)
    cells = np.zeros((rows, columns), np.int32)
    state = 12345

    def following(bound: int) -> int:
        nonlocal state
        state = (state * 1664525 + 1013904223) % 2**32
        return (state >> 8) % bound

    count = 0
    for top in range(0, rows - pitch + 1, pitch):
        for left in range(0, columns - pitch + 1, pitch):
            a, b = 7 + following(8), 7 + following(8)
            row = top + pitch // 2 + following(5) - 2
            column = left + pitch // 2 + following(5) - 2
            count += 1
            box = np.s_[row - a : row + a + 1, column - b : column + b + 1]
            dr, dc = r[box] - row, c[box] - column
            inside = (dr * b) ** 2 + (dc * a) ** 2 <= (a * b) ** 2
            if count % 4 == 0:
                inside &= dr**2 + dc**2 > 4
            cells[box][inside] = count
    return cells > 0, cells, intensity


def remove_regions(cells):
    kept = np.zeros(cells.max() + 1, np.int32)
    number = 0
    for region in measure.regionprops(cells):
        if region.area >= 200 and region.eccentricity <= 0.8 and region.solidity >= 0.9:
            number += 1
            kept[region.label] = number
    return kept[cells]


def normalize(image):
    scaled = image / np.percentile(image, 50)
    return scaled - ndimage.uniform_filter(scaled, 61, mode="reflect")


def overlaps(truth, prediction):
    return measure_pairs(truth.astype(np.int64) * (int(prediction.max()) + 1) + prediction)


def measure_pairs(pairs):
    return np.unique(pairs, return_counts=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1080)
    parser.add_argument("--columns", type=int, default=1280)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    foreground, cells, intensity = draw(options.rows, options.columns)
    disk_1, disk_5 = morphology.disk(1), morphology.disk(5)
    depth = ndimage.distance_transform_edt(foreground).astype(np.float32)
    relief = -(8 * depth).astype(np.int32)
    seeds = np.where(depth > 4, cells, 0)
    likely = np.minimum(depth / 4, 1)
    tasks = {
        "components": lambda: measure.label(foreground, connectivity=2),
        "regions": lambda: measure.regionprops_table(
            cells, intensity_image=intensity, properties=PROPERTIES
        ),
        "remove_regions": lambda: remove_regions(cells),
        "fill_holes": lambda: ndimage.binary_fill_holes(foreground),
        "dilate_cross": lambda: morphology.dilation(foreground, disk_1),
        "erode_disk_5": lambda: morphology.erosion(foreground, disk_5),
        "distance_transform": lambda: ndimage.distance_transform_edt(foreground),
        "expand_labels": lambda: segmentation.expand_labels(cells, 5),
        "watershed_integer": lambda: segmentation.watershed(relief, seeds, mask=foreground),
        "watershed_float": lambda: segmentation.watershed(-depth, seeds, mask=foreground),
        "cores": lambda: morphology.max_tree(likely),
        "normalize_median_box": lambda: normalize(intensity),
        "overlaps": lambda: overlaps(cells, cells),
    }
    print("{")
    for name, task in tasks.items():
        task()
        seconds, processor = [], []
        for _ in range(options.repeats):
            started, processor_started = time.perf_counter(), time.process_time()
            task()
            seconds.append(time.perf_counter() - started)
            processor.append(time.process_time() - processor_started)
        print(f'"{name}": {float(np.median(seconds)):.6f},')
        print(f'"{name}_processor": {float(np.median(processor)):.6f},', flush=True)
    about = {
        "peer": f"scikit-image {skimage.__version__}, scipy {scipy.__version__}, numpy {np.__version__}",
        "machine": platform.processor() or platform.machine(),
        "cells": int(cells.max()),
    }
    print(json.dumps(about)[1:])


if __name__ == "__main__":
    main()
