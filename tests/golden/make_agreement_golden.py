"""Writes agreement_golden.inc: pairs of synthetic label images and their scores, computed here with
numpy and scipy from the definitions (StarDist matching by scipy's linear_sum_assignment).

Run by hand (python3 make_agreement_golden.py) when a definition changes; the result is committed.
"""

from pathlib import Path

import numpy as np
import scipy
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

OUT = Path(__file__).with_name("agreement_golden.inc")
THRESHOLDS = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.75, 0.9]
rng = np.random.default_rng(11)
lines = []


def put_labels(name, labels):
    """One character per pixel: '0' is 0, and so on through the printable characters."""
    assert 0 <= labels.min() and labels.max() <= ord("~") - ord("0"), name
    lines.append(f"inline constexpr std::string_view {name}[] = {{")
    for row in labels:
        text = "".join(chr(ord("0") + int(v)) for v in row)
        lines.append(f'    "{text}",'.replace("\\", "\\\\").replace("?", "\\?"))
    lines.append("};")


def ellipses(shape, count, radius):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    labels = np.zeros(shape, np.int32)
    centres = rng.random((count, 2)) * shape
    radii = radius * (0.6 + rng.random((count, 2)))
    for k, (centre, radii_k) in enumerate(zip(centres, radii), 1):
        labels[
            ((rows - centre[0]) / radii_k[0]) ** 2 + ((columns - centre[1]) / radii_k[1]) ** 2 <= 1
        ] = k
    return labels


def distorted(labels, shift, lost):
    result = np.roll(labels, shift, (0, 1))
    for k in rng.choice(np.unique(labels)[1:], lost, replace=False):
        result[result == k] = 0
    order = rng.permutation(labels.max() + 1)
    return np.where(result > 0, 1 + order[result], 0)


def overlap_matrix(truth, prediction):
    t, p = np.unique(truth)[1:], np.unique(prediction)[1:]
    common = np.array([[np.sum((truth == a) & (prediction == b)) for b in p] for a in t])
    areas_t = np.array([np.sum(truth == a) for a in t])
    areas_p = np.array([np.sum(prediction == b) for b in p])
    return common.reshape(len(t), len(p)), areas_t, areas_p


def matched(iou, threshold):
    if min(iou.shape) == 0:
        return 0, 0.0
    cost = -(iou >= threshold).astype(float) - iou / (2 * min(iou.shape))
    rows, columns = linear_sum_assignment(cost)
    hits = iou[rows, columns][iou[rows, columns] >= threshold]
    return len(hits), hits.sum()


def outline(labels):
    padded = np.pad(labels, 1, mode="edge")
    differs = np.zeros(labels.shape, bool)
    for dr, dc in ((0, 1), (2, 1), (1, 0), (1, 2)):
        differs |= padded[dr : dr + labels.shape[0], dc : dc + labels.shape[1]] != labels
    return differs & (labels > 0)


def near(own, other, tolerance):
    if not other.any():
        return 0
    return int(np.sum(ndimage.distance_transform_edt(~other)[own] <= tolerance))


def put_case(name, truth, prediction):
    put_labels(f"{name}_truth", truth)
    put_labels(f"{name}_prediction", prediction)
    common, areas_t, areas_p = overlap_matrix(truth, prediction)
    iou = common / np.maximum(areas_t[:, None] + areas_p[None, :] - common, 1)
    covered = common > 0.5 * areas_t[:, None]
    values = [len(areas_t), len(areas_p), (iou * covered).sum()]
    best = [iou[k, np.argmax(common[k])] for k in range(len(areas_t)) if common[k].any()]
    values += [len(best), np.mean(best) if best else 0, np.std(best) if best else 0]
    a, b = outline(truth), outline(prediction)
    values += [a.sum(), near(a, b, 1.5), b.sum(), near(b, a, 1.5)]
    lines.append(f"inline constexpr scores {name}_scores = {{")
    lines.append("    {" + ", ".join(f"{v:.13g}" for v in values) + "},")
    lines.append("    {{")
    for threshold in THRESHOLDS:
        hits, total = matched(iou, threshold)
        lines.append(f"        {{{threshold}, {hits}, {total:.13g}}},")
    lines.append("    }}};")


def main():
    lines.extend(
        [
            "// Written by make_agreement_golden.py with "
            f"numpy {np.__version__}, scipy {scipy.__version__}.",
            "#pragma once",
            "#include <array>",
            "#include <string_view>",
            "",
            "namespace golden {",
            "/// threshold, true positives, sum of their IoU",
            "struct matches {",
            "  double threshold;",
            "  int true_positives;",
            "  double iou_sum;",
            "};",
            "/// values: true and predicted cells; sum of Jaccard for SEG; cells with an overlap, mean",
            "/// and deviation of their best Jaccard; outline pixels of the truth, of them within 1.5",
            "/// pixels of the prediction's outline, and the same for the prediction",
            "struct scores {",
            "  std::array<double, 10> values;",
            f"  std::array<matches, {len(THRESHOLDS)}> at;",
            "};",
        ]
    )
    cells = ellipses((48, 70), 20, 6)
    put_case("shifted", cells, distorted(cells, (1, -2), 3))
    crowded = ellipses((36, 60), 60, 5)
    put_case("crowded", crowded, ellipses((36, 60), 60, 5))
    put_case("noise", rng.integers(0, 7, (14, 20)), rng.integers(0, 9, (14, 20)))
    halves = np.zeros((6, 16), np.int32)
    halves[1:5, 2:6], halves[1:5, 6:10], halves[2:4, 11:15] = 1, 2, 3
    merged = np.where(halves > 0, 1, 0)
    merged[:, 11:13] = np.where(halves[:, 11:13] > 0, 2, 0)
    merged[:, 13:15] = np.where(halves[:, 13:15] > 0, 3, 0)
    put_case("halves", halves, merged)
    lines.append("}  // namespace golden")
    OUT.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{OUT.name}: {OUT.stat().st_size} bytes")


main()
