"""Writes local_threshold_golden.inc: pixels above the local median as scipy finds it.

Run by hand (python3 make_local_threshold_golden.py, with numpy and scipy 1.17); the result is committed,
so the tests need no Python.
"""

import pathlib

import numpy as np
import scipy
from scipy import ndimage

OUT = pathlib.Path(__file__).with_name("local_threshold_golden.inc")
ROWS, COLUMNS = 22, 37
lines = [
    f"// Written by make_local_threshold_golden.py with scipy {scipy.__version__}.",
    "#pragma once",
    "#include <string_view>",
    "",
    "namespace golden {",
]
index = np.arange(ROWS * COLUMNS).reshape(ROWS, COLUMNS)
values = ((index * 7919) % 65521 / 65521).astype(np.float32)
for window, offset in ((3, 0.0), (9, 0.075), (61, 0.2)):
    median = ndimage.median_filter(values, window, mode="reflect").astype(np.float64)
    lines.append(f"inline constexpr std::string_view above_median_{window}[] = {{")
    lines.extend(f'    "{"".join("#" if v else "." for v in row)}",' for row in values > median + offset)
    lines.append("};")
lines.append("}  // namespace golden")
OUT.write_text("\n".join(lines) + "\n")
