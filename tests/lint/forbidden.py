"""Checks for what may not stand in the project's files, and says what to write instead."""

import re
import sys

import tree

MAX_HEADER_LINES = 600
MAX_FILE_BYTES = 1_000_000
# Trained models come with the program, if they are small.
MAX_MODEL_BYTES = 2_000_000
MODELS = re.compile(r"examples/models/[a-z_]+\.safetensors")

# In the library's headers: pattern -> what to do instead. Comments and literals do not count.
IN_LIBRARY = {
    r"\busing\s+namespace\b": "qualify the names",
    r"\bstd::(cout|cerr|clog)\b|\b(std::)?(printf|puts|fprintf)\s*\(": "library code never prints",
    r"(?<![\w.>])(std::)?(exit|_Exit|abort|terminate|quick_exit)\s*\(": "throw a septum::error",
    r"\bassert\s*\(": "use SEPTUM_EXPECTS or SEPTUM_ASSERT",
    r"\bstd::format\b|<format>": "g++ 12 has no std::format; build the string",
    r"\bstd::source_location\b|<source_location>": "use __builtin_FILE and friends: clang 14",
    r"\b(std::)?(ranges::)?views::|\bstd::views\b": "write the loop: clang 14",
    r"\busing\s+\w+\s*=\s*(struct|class)\s*\{|\btypedef\s+struct\s*\{": "name the struct: nvcc",
    r"\b(std::)?(stof|stod|stold|strtof|strtod|atof|setlocale|sscanf)\b": "use std::from_chars",
    r"\bstd::(mt19937(_64)?|random_device|minstd_rand|default_random_engine)\b|(?<![\w:])rand\s*\(":
        "use core/rng.hpp, the one source of randomness",
    r"<(iostream|regex|random|cassert|filesystem_error)>": "not in the library",
}
# In the library's headers, outside the layers named.
IN_LIBRARY_OUTSIDE = {
    r"#\s*pragma\s+omp\b": (r"exec/", "loops go through exec/for_each.hpp"),
    r"\bstd::(thread|jthread|async)\b": (r"exec/", "loops go through exec/for_each.hpp"),
}
# In every file of the project, comments included.
UNFINISHED = "TO" "DO|FIX" "ME|XX" "X"
EVERYWHERE = {
    rf"\b({UNFINISHED})\b": "unfinished work belongs to the list of issues",
    r"(?<![\w.$}>)-])/(work|farm|root|home|tmp|opt/[a-z])(?=/)": "a path of one machine",
    r"[ \t]+$": "trailing blanks",
}
TEXT = {".hpp", ".cuh", ".cpp", ".cu", ".py", ".md", ".txt", ".cmake", ".in", ".sh", ".json", ""}


def search(patterns, text):
    for pattern, instead in patterns.items():
        for match in re.finditer(pattern, text, re.MULTILINE):
            yield text.count("\n", 0, match.start()) + 1, match.group().strip(), instead


def check_header(path, text):
    inside = path.relative_to(tree.ROOT / "include/septum").as_posix()
    code = tree.code_only(text)
    yield from search(IN_LIBRARY, code)
    outside = {
        pattern: instead
        for pattern, (where, instead) in IN_LIBRARY_OUTSIDE.items()
        if not re.match(where, inside)
    }
    yield from search(outside, code)
    if not text.startswith("#pragma once\n"):
        yield 1, "no #pragma once", "make it the first line"
    for match in re.finditer(r"^namespace septum(?!::inline SEPTUM_ABI\b)", code, re.MULTILINE):
        line = code.count("\n", 0, match.start()) + 1
        yield line, "namespace", "write namespace septum::inline SEPTUM_ABI"


def main():
    problems = []
    for path in tree.files():
        limit = MAX_MODEL_BYTES if MODELS.fullmatch(tree.name(path)) else MAX_FILE_BYTES
        if path.stat().st_size > limit:
            problems.append(f"{tree.name(path)}: {path.stat().st_size} bytes; data stays outside")
        if path.suffix not in TEXT:
            continue
        text = path.read_text(encoding="utf-8")
        found = list(search(EVERYWHERE, text)) if path.name != "forbidden.py" else []
        if path.suffix in tree.HEADERS:
            lines = text.count("\n")
            if lines > MAX_HEADER_LINES:
                found.append((lines, f"{lines} lines", f"split it at {MAX_HEADER_LINES}"))
            if tree.name(path).startswith("include/"):
                found += check_header(path, text)
        problems += (f"{tree.name(path)}:{line}: {what}: {instead}" for line, what, instead in found)
    return tree.report(problems, "forbidden")


if __name__ == "__main__":
    sys.exit(main())
