"""From an interior map to labelled cells, and from labelled cells to AP, F1 and counts at IoU 0.5."""

from __future__ import annotations

import numpy
import scipy.ndimage
import scipy.optimize
import skimage.measure

EIGHT = numpy.ones((3, 3), bool)
CROSS = scipy.ndimage.generate_binary_structure(2, 1)


def fill_holes(labels: numpy.ndarray) -> numpy.ndarray:
    """Gives the background pixels that a component encloses (4-connected background) to that component."""
    filled = labels.copy()
    for index, box in enumerate(scipy.ndimage.find_objects(labels), start=1):
        if box is not None:
            region = scipy.ndimage.binary_fill_holes(labels[box] == index)
            view = filled[box]
            view[region & (view == 0)] = index
    return filled


def segment(
    interior: numpy.ndarray,
    threshold: float,
    minimum_area: int = 0,
    minimum_eccentricity: float = 0.0,
    maximum_eccentricity: float = 1.0,
    minimum_solidity: float = 0.0,
) -> numpy.ndarray:
    """interior > threshold, 8-connected components, holes filled, then components dropped by shape."""
    labels, _ = scipy.ndimage.label(interior > threshold, EIGHT)
    labels = fill_holes(labels)
    kept = numpy.zeros(labels.max() + 1, labels.dtype)
    for region in skimage.measure.regionprops(labels):
        good = region.area >= minimum_area
        good = good and minimum_eccentricity <= region.eccentricity <= maximum_eccentricity
        if good and (minimum_solidity <= 0 or region.solidity >= minimum_solidity):
            kept[region.label] = kept.max() + 1
    return kept[labels]


def reference_cells(interior: numpy.ndarray, window: int, erode: bool = True) -> numpy.ndarray:
    """8-connected components of the annotated interior, cropped by ``window`` pixels on every side.

    ``erode`` first erodes the cropped interior by the 5-pixel cross, which parts touching cells; pixels beyond
    the crop count as inside, so that the crop itself erodes nothing.
    """
    rows, columns = interior.shape
    cells = interior[window : rows - window, window : columns - window]
    if erode:
        cells = scipy.ndimage.binary_erosion(cells, CROSS, border_value=1)
    return scipy.ndimage.label(cells, EIGHT)[0]


def match(reference: numpy.ndarray, predicted: numpy.ndarray, threshold: float = 0.5) -> dict:
    """StarDist's matching of two label images: tp, fp, fn and the ratios made from them.

    One-to-one assignment on -(IoU >= t) - IoU / (2 min(n, m)); tp are matched pairs with IoU >= t;
    AP = tp / (tp + fp + fn), F1 = 2 tp / (2 tp + fp + fn). No object at all gives zeros.
    """
    n, m = int(reference.max()), int(predicted.max())
    overlap = numpy.zeros((n + 1, m + 1))
    numpy.add.at(overlap, (reference.ravel(), predicted.ravel()), 1)
    union = overlap.sum(1, keepdims=True) + overlap.sum(0, keepdims=True) - overlap
    iou = (overlap / numpy.maximum(union, 1))[1:, 1:]
    tp, total = 0, 0.0
    if n and m:
        cost = -(iou >= threshold).astype(float) - iou / (2 * min(n, m))
        pairs = scipy.optimize.linear_sum_assignment(cost)
        good = iou[pairs] >= threshold
        tp, total = int(good.sum()), float(iou[pairs][good].sum())
    return {"threshold": threshold, "reference": n, "predicted": m} | ratios(tp, m - tp, n - tp, total)


def ratios(tp: int, fp: int, fn: int, total_iou: float) -> dict:
    """AP, F1, precision, recall and the mean IoU of matched pairs; 0 where a ratio has no objects."""

    def ratio(a: float, b: float) -> float:
        return a / b if b else 0.0

    return {
        "tp": tp,
        "fp": fp,
        "fn": fn,
        "ap": ratio(tp, tp + fp + fn),
        "f1": ratio(2 * tp, 2 * tp + fp + fn),
        "precision": ratio(tp, tp + fp),
        "recall": ratio(tp, tp + fn),
        "mean_matched_iou": ratio(total_iou, tp),
        "total_iou": total_iou,
    }
