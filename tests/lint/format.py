"""Checks that every C++ file is as clang-format 14 writes it. `--write` formats them."""

import shutil
import subprocess
import sys

import tree


def main():
    tool = shutil.which("clang-format-14") or shutil.which("clang-format")
    if tool is None:
        print("clang-format is not installed: skipped")
        return 77
    version = subprocess.run([tool, "--version"], capture_output=True, text=True, check=True).stdout
    if " version 14." not in version:
        print(f"clang-format 14 is not installed (found: {version.strip()}): skipped")
        return 77
    paths = [str(path) for path in tree.files(*tree.HEADERS, *tree.SOURCES)]
    mode = ["-i"] if "--write" in sys.argv[1:] else ["--dry-run", "-Werror"]
    done = subprocess.run([tool, *mode, *paths], capture_output=True, text=True)
    places = [line for line in done.stderr.splitlines() if " error: " in line]
    return tree.report(sorted({line.split(":")[0] for line in places}), "format")


if __name__ == "__main__":
    sys.exit(main())
