"""The project's own files, as the other checks see them."""

import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDERS = ("include", "examples", "tests", "benchmarks", "docs", "cmake", ".ci")
HEADERS = (".hpp", ".cuh")
SOURCES = (".cpp", ".cu")


def files(*suffixes, under=FOLDERS):
    """Every file of the project with one of these suffixes, in a fixed order."""
    found = [path for path in ROOT.iterdir() if path.is_file()] if under is FOLDERS else []
    for folder in under:
        found += (path for path in (ROOT / folder).rglob("*") if path.is_file())
    return sorted(
        path
        for path in found
        if (not suffixes or path.suffix in suffixes) and "__pycache__" not in path.parts
    )


def name(path):
    return path.relative_to(ROOT).as_posix()


_LITERAL_OR_COMMENT = re.compile(
    r'R"(?P<mark>[^(\s]*)\(.*?\)(?P=mark)"|"(?:\\.|[^"\\\n])*"|//[^\n]*|/\*.*?\*/'
    r"|(?<![0-9A-Za-z_])'(?:\\.|[^'\\\n])+'",
    re.DOTALL,
)


def code_only(text):
    """The text with comments and literals blanked, line numbers kept."""

    def blank(match):
        return re.sub(r"[^\n]", " ", match.group())

    return _LITERAL_OR_COMMENT.sub(blank, text)


def report(problems, what):
    """Prints the problems, one per line, and gives the exit status."""
    for problem in problems:
        print(problem)
    print(f"{what}: {len(problems)} problem(s)")
    return 1 if problems else 0
