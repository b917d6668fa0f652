"""Writes docs/errors.md: every stable error identifier, where it is raised, and how its text reads.

    python3 docs/make_errors.py          # writes the page
    python3 docs/make_errors.py --check  # fails when the page is not what would be written
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "errors.md"
RAISED = re.compile(r'"(septum\.[a-z_]+\.\d+)"\s*,(.*?);\n', re.DOTALL)
LITERAL = re.compile(r'"((?:[^"\\]|\\.)*)"')
HEAD = """# Error identifiers

Every exception is a `septum::error` with a stable identifier, one line of text that names the file, what was found
and what would have been valid, and a kind that is also the program's exit code: 3 input, 4 resource (disk, memory,
permission), 5 locked by another process, 70 a broken promise of the library itself. Usage errors exit with 2, a
signal n with 128 + n. Scripts may rely on the identifiers, not on the texts. "..." stands for what differs.

| identifier | raised in | text |
|---|---|---|
"""


def text_of(expression: str) -> str:
    """The string literals of a C++ expression, joined; what stands between them becomes an ellipsis."""
    text, end = "", 0
    for literal in LITERAL.finditer(expression):
        between = expression[end : literal.start()].strip()
        if text or between:
            text += "..." if "+" in between and between != "+" or not text and between else ""
        text += literal.group(1)
        end = literal.end()
    return re.sub(r"(\.\.\.)+", "...", text.replace("|", "\\|")).strip()[:220]


def number(identifier: str) -> tuple:
    group, count = identifier.rsplit(".", 1)
    return group, int(count)


def page() -> str:
    found: dict = {}
    for folder in ("include/septum", "examples/septum"):
        for path in sorted((ROOT / folder).rglob("*.[hc]pp")):
            source = path.read_text(encoding="utf-8")
            for match in RAISED.finditer(source):
                entry = found.setdefault(match.group(1), {"files": [], "text": ""})
                name = path.relative_to(ROOT).as_posix().removeprefix("include/septum/")
                if name not in entry["files"]:
                    entry["files"].append(name)
                entry["text"] = entry["text"] or text_of(match.group(2))
    rows = [
        f"| `{identifier}` | {', '.join(found[identifier]['files'])} | {found[identifier]['text']} |"
        for identifier in sorted(found, key=number)
    ]
    return HEAD + "\n".join(rows) + "\n"


def main() -> None:
    if "--check" in sys.argv[1:]:
        if PAGE.read_text(encoding="utf-8") != page():
            sys.exit("docs/errors.md is out of date; run python3 docs/make_errors.py")
        return
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
