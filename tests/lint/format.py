"""Checks that every C++ file is as clang-format 14 writes it. `--write` formats them."""

import concurrent.futures
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

    def unformatted(path):
        # Not --dry-run: it also reports namespace comments that it would replace by themselves.
        formatted = subprocess.run([tool, path], capture_output=True, check=True).stdout
        if formatted == path.read_bytes():
            return None
        if "--write" in sys.argv[1:]:
            path.write_bytes(formatted)
        return tree.name(path)

    with concurrent.futures.ThreadPoolExecutor() as pool:
        found = pool.map(unformatted, tree.files(*tree.HEADERS, *tree.SOURCES))
    return tree.report([name for name in found if name], "format")


if __name__ == "__main__":
    sys.exit(main())
