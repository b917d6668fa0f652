"""Writes assignment_golden.inc: small assignment problems and their optima by scipy.

Run by hand (python3 make_assignment_golden.py, with numpy and scipy) when the cases change; the
result is committed, so the tests need no Python. The assignment is given where it is unique.
"""

import textwrap
from pathlib import Path

import numpy as np
import scipy
from scipy.optimize import linear_sum_assignment

OUT = Path(__file__).with_name("assignment_golden.inc")
rng = np.random.default_rng(20240811)


def text(value):
    if np.isinf(value):
        return "inf"
    return repr(float(value))


def unique(costs, rows, columns):
    """True when forbidding any one of the pairs makes the optimum dearer."""
    best = costs[rows, columns].sum()
    for r, c in zip(rows, columns):
        other = costs.copy()
        other[r, c] = np.inf
        try:
            i, j = linear_sum_assignment(other)
        except ValueError:
            continue
        if other[i, j].sum() <= best + 1e-9 * abs(best):
            return False
    return True


def wrapped(items):
    return textwrap.fill(", ".join(items), 100, initial_indent="    ", subsequent_indent="    ")


def cases():
    for n, m in [(1, 1), (1, 7), (7, 1), (2, 2), (3, 5), (5, 3), (6, 6), (9, 9), (9, 12), (12, 9)]:
        yield rng.random((n, m))
        yield rng.normal(0, 5, (n, m))
        yield rng.integers(-9, 10, (n, m)).astype(float)
        yield 10.0 ** rng.uniform(-3, 3, (n, m)) * 1e297
        yield 10.0 ** rng.uniform(-3, 3, (n, m)) * 1e-297
        costs = rng.random((n, m))
        costs[rng.random((n, m)) < 0.25] = np.inf
        yield costs
    points = rng.random((15, 2)) * 50
    moved = points[rng.permutation(15)] + rng.normal(0, 2, (15, 2))
    yield ((points[:, None] - moved[None]) ** 2).sum(-1)
    yield np.outer(np.arange(1, 11), np.arange(1, 11)).astype(float)


def main():
    table, numbers, chosen = [], [], []
    for costs in cases():
        try:
            rows, columns = linear_sum_assignment(costs)
        except ValueError:
            continue
        is_unique = unique(costs, rows, columns)
        assigned = np.full(costs.shape[0], -1)
        assigned[rows] = columns
        total = text(costs[rows, columns].sum())
        table.append(
            f"    {{{costs.shape[0]}, {costs.shape[1]}, {total}, {len(numbers)}, {len(chosen)}, "
            f"{str(is_unique).lower()}}},"
        )
        numbers += [text(v) for v in costs.ravel()]
        chosen += map(str, assigned)
    OUT.write_text(
        f"// Written by make_assignment_golden.py with numpy {np.__version__}, "
        f"scipy {scipy.__version__}.\n"
        "#pragma once\n#include <limits>\n\n"
        "// clang-format off\n"
        "namespace golden {\n"
        "inline constexpr double inf = std::numeric_limits<double>::infinity();\n"
        "/// The least total, where the costs (row by row) and the columns of the rows begin, and\n"
        "/// whether no other pairing of the same rows costs as little.\n"
        "struct assignment_case {\n"
        "  int rows, columns;\n  double total;\n  int first_cost, first_row;\n  bool unique;\n};\n"
        "inline constexpr assignment_case assignment_cases[] = {\n"
        + "\n".join(table)
        + "\n};\ninline constexpr double assignment_costs[] = {\n"
        + wrapped(numbers)
        + "\n};\ninline constexpr int assignment_columns[] = {\n"
        + wrapped(chosen)
        + "\n};\n}  // namespace golden\n"
    )
    count = len(table)
    print(count, "cases")


if __name__ == "__main__":
    main()
