"""Checks that code shown in README.md and docs/ is code that compiles.

A C++ block must equal the whole file, or the named part of it, that the comment before it gives:

    <!-- from: examples/custom_segmenter.cpp -->
    <!-- from: examples/01_segment_frame.cpp#compose -->

A part lies between the lines `// [compose]` and `// [/compose]`. `--write` updates the blocks.
"""

import re
import sys
import textwrap

import tree

BLOCK = re.compile(
    r"(?P<lead>(?:<!-- from: (?P<path>[^#\s]+)(?:#(?P<part>\w+))? -->\n+)?)"
    r"^```(?P<language>cpp|c\+\+)\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
MARK = re.compile(r"^\s*// \[/?\w+\]\n", re.MULTILINE)


def code_of(path, part):
    text = (tree.ROOT / path).read_text(encoding="utf-8")
    if part:
        found = re.search(
            rf"^\s*// \[{part}\]\n(.*?)^\s*// \[/{part}\]$", text, re.MULTILINE | re.DOTALL
        )
        if not found:
            raise LookupError(f"{path} has no part [{part}]")
        text = textwrap.dedent(found.group(1))
    return MARK.sub("", text)


def main():
    write = "--write" in sys.argv[1:]
    problems = []
    pages = [tree.ROOT / "README.md", *tree.files(".md", under=("docs",))]
    for page in pages:
        text = page.read_text(encoding="utf-8")

        def check(match, page=page, text=text):
            where = f"{tree.name(page)}:{text.count(chr(10), 0, match.start()) + 1}"
            if not match["path"]:
                problems.append(f"{where}: a C++ block without <!-- from: FILE -->")
                return match.group()
            try:
                code = code_of(match["path"], match["part"])
            except (OSError, LookupError) as error:
                problems.append(f"{where}: {error}")
                return match.group()
            if code != match["code"] and not write:
                problems.append(f"{where}: differs from {match['path']}; run with --write")
            return f"{match['lead']}```{match['language']}\n{code}```"

        updated = BLOCK.sub(check, text)
        if write and updated != text:
            page.write_text(updated, encoding="utf-8")
    return tree.report(problems, "code in pages")


if __name__ == "__main__":
    sys.exit(main())
