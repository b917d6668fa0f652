"""Checks that dependencies point one way: a header includes only layers listed beside its own."""

import re
import sys

import tree

HOST = {"core", "exec"}
NET = HOST | {"nn", "backend", "image", "net"}

# layer -> layers whose headers it may include. A layer may always include itself.
MAY_INCLUDE = {
    "core": set(),
    "exec": {"core"},
    "nn": HOST,
    "backend": HOST | {"nn"},
    "net": HOST | {"nn", "backend", "image"},
    "train": NET,
    "image": HOST,
    "sample": HOST | {"image"},
    "track": HOST | {"image"},
    "measure": HOST | {"image", "track"},
    "segment": NET,
    "io": NET | {"track"},
    "simulate": HOST | {"image"},
    "report": HOST | {"image", "measure"},
}

# Headers that stand outside the table.
UMBRELLA = "septum.hpp"
OUTSIDE = {"version.hpp", "fwd.hpp", "testing.hpp", UMBRELLA}
OUTSIDE_MAY_INCLUDE = {
    "version.hpp": set(),
    "fwd.hpp": {"core/config.hpp"},
    "testing.hpp": None,  # any layer
    UMBRELLA: None,
}
# What the umbrella never pulls in, because it would ask for one more library.
UMBRELLA_REFUSES = re.compile(r"io/|exec/mpi|backend/(onednn|cuda|cudnn)")

# Third-party header -> the headers that may include it.
XTENSOR = r"(image|sample|track|measure|segment|io|simulate|report|net|train)/"
THIRD_PARTY = {
    r"Eigen/": r"(image|track|measure|segment|train)/|backend/(detail/)?eigen",
    r"xtensor/": XTENSOR,
    r"oneapi/|dnnl": r"backend/(detail/)?onednn",
    r"immintrin\.h": r"backend/detail/bfloat16",
    r"omp\.h": r"exec/|backend/(detail/)?onednn",
    r"mpi\.h": r"exec/mpi",
    r"dlfcn\.h": r"exec/detail/shared_library",
    r"(tiff|tiffio)\.": r"io/",
    r"png\.h": r"io/",
    r"zlib\.h": r"io/",
    r"nlohmann/": r"io/",
    r"hdf5|H5": r"io/(detail/)?keras",
    r"(cpuid|unistd|sys/syscall)\.h": r"io/|backend/detail/bfloat16_instructions",
    r"(fcntl|sys/.*)\.h": r"io/",
}

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?P<open>[<"])(?P<path>[^>"]+)[>"]', re.MULTILINE)
STANDARD = re.compile(r"^[a-z_]+$|^c[a-z]+$")


def layer_of(inside):
    return inside.split("/")[0] if "/" in inside else inside


def check_septum(own, other):
    """Why `own` may not include <septum/other>, or nothing. Both are paths below include/septum."""
    if not (tree.ROOT / "include/septum" / other).is_file():
        return "there is no such header"
    if other in (UMBRELLA, "testing.hpp"):
        return "nothing inside the library includes it"
    if own in OUTSIDE:
        allowed = OUTSIDE_MAY_INCLUDE[own]
        if allowed is not None and other not in allowed:
            return f"{own} may include only {sorted(allowed) or 'nothing'}"
        if own == UMBRELLA and UMBRELLA_REFUSES.match(other):
            return "the umbrella never asks for a further library"
        return None
    if other in ("version.hpp", "fwd.hpp"):
        return None
    mine, its = layer_of(own), layer_of(other)
    if "/detail/" in other and mine != its:
        return f"detail/ is private to {its}/"
    if its != mine and its not in MAY_INCLUDE[mine]:
        return f"{mine}/ may include only {', '.join(sorted(MAY_INCLUDE[mine])) or 'std'}"
    return None


def check_third_party(own, other):
    for pattern, allowed in THIRD_PARTY.items():
        if re.match(pattern, other):
            return None if re.match(allowed, own) else "not a place where this library may be used"
    return None if STANDARD.match(other) else "not a known third-party header"


def main():
    problems = []
    for path in tree.files(*tree.HEADERS, under=("include",)):
        own = path.relative_to(tree.ROOT / "include/septum").as_posix()
        if own not in OUTSIDE and layer_of(own) not in MAY_INCLUDE:
            problems.append(f"{tree.name(path)}: {layer_of(own)} is not in the table of layers")
            continue
        text = path.read_text(encoding="utf-8")
        for match in INCLUDE.finditer(text):
            other = match["path"]
            if match["open"] == '"':
                why = "relative include; write <septum/...>"
            elif other.startswith("septum/"):
                why = check_septum(own, other.removeprefix("septum/"))
            else:
                why = check_third_party(own, other)
            if why:
                line = text.count("\n", 0, match.start()) + 1
                problems.append(f"{tree.name(path)}:{line}: includes {other}: {why}")
    return tree.report(problems, "layers")


if __name__ == "__main__":
    sys.exit(main())
