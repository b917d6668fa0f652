"""Writes mixture_golden.inc: samples of two bells and the mixtures that scikit-learn fits to them.

Run by hand (python3 make_mixture_golden.py, with numpy and scikit-learn) when a case changes; the result is
committed, so the tests need no Python.
"""

from pathlib import Path

import numpy as np
import sklearn
from sklearn.mixture import GaussianMixture

CASES = {
    "apart": ((600, 400.0, 30.0), (400, 900.0, 60.0)),
    "overlapping": ((700, 500.0, 80.0), (500, 760.0, 130.0)),
    "unequal": ((900, 200.0, 15.0), (90, 320.0, 25.0)),
}


def main():
    rng = np.random.default_rng(7)
    lines = []
    for name, parts in CASES.items():
        numbers = np.rint(np.concatenate([rng.normal(mean, sd, count) for count, mean, sd in parts]))
        # The starting point that septum documents is in the basin of the same optimum; scikit-learn's is random.
        fitted = GaussianMixture(2, tol=1e-13, max_iter=20000, reg_covar=0, n_init=4, random_state=0).fit(numbers[:, None])
        assert fitted.converged_, name
        order = np.argsort(fitted.means_.ravel())
        values, counts = np.unique(numbers, return_counts=True)
        lines.append(f"inline constexpr int {name}_numbers[][2] = {{")
        row = "   "
        for value, count in zip(values, counts):
            item = f" {{{int(value)}, {count}}},"
            if len(row) + len(item) > 100:
                lines.append(row)
                row = "   "
            row += item
        lines += [row, "};", f"// weight, mean and sd of the lower and of the higher bell, mean log-likelihood",
                  f"inline constexpr double {name}_mixture[] = {{"]  # fmt: skip
        for k in order:
            sd = np.sqrt(fitted.covariances_[k, 0, 0])
            lines.append(f"    {fitted.weights_[k]:.12g}, {fitted.means_[k, 0]:.12g}, {sd:.12g},")
        lines += [f"    {fitted.score(numbers[:, None]):.12g}", "};"]
    head = [f"// Written by make_mixture_golden.py with numpy {np.__version__}, scikit-learn {sklearn.__version__}.",
            "#pragma once", "// clang-format off", "namespace golden {"]  # fmt: skip
    Path(__file__).with_name("mixture_golden.inc").write_text("\n".join([*head, *lines, "}  // namespace golden", "// clang-format on", ""]))


if __name__ == "__main__":
    main()
