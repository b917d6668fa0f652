"""Compiles one file twice: as it should be, and with the mistake it is about.

usage: check.py FILE -- COMPILER FLAGS...

The file says what the second compilation must print, one regular expression per line, before any
of its code:

    // expect: septum: a layer's window is larger than the map it receives

A message of septum's own has to say what to change: the line that matches must contain `FIX:`.
"""

import pathlib
import re
import subprocess
import sys


def compile_with(command, source, fail):
    return subprocess.run(
        [*command, f"-DSEPTUM_FAIL={fail}", source],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={"LC_ALL": "C", "PATH": "/usr/local/bin:/usr/bin:/bin"},
    )


def main():
    source, _, *command = sys.argv[1:]
    text = pathlib.Path(source).read_text(encoding="utf-8")
    expected = re.findall(r"^// expect: (.+)$", text, re.MULTILINE)
    if not expected:
        print(f"{source} has no `// expect:` line")
        return 1

    accepted = compile_with(command, source, 0)
    if accepted.returncode != 0:
        print(f"with SEPTUM_FAIL=0 this should have compiled:\n{accepted.stdout}")
        return 1

    refused = compile_with(command, source, 1)
    if refused.returncode == 0:
        print("with SEPTUM_FAIL=1 this should have been refused, and compiled")
        return 1
    lines = refused.stdout.splitlines()
    for pattern in expected:
        matching = [line for line in lines if re.search(pattern, line)]
        if not matching:
            print(f"the compiler did not print `{pattern}`, but:\n{refused.stdout}")
            return 1
        if "septum: " in matching[0] and "FIX:" not in matching[0]:
            print(f"the message does not say how to mend it (FIX:): {matching[0]}")
            return 1
    errors = sum(bool(re.search(r"\berror: ", line)) for line in lines)
    print(f"refused with {errors} error(s) in {len(lines)} lines")
    return 0


if __name__ == "__main__":
    sys.exit(main())
