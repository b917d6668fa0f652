"""septum beside PyTorch in one run: whole-frame inference, patch and dense training, as ratios.

    python benchmarks/compare.py --programs build/release/bin --threads 2 --out comparison.json

Run with a Python that has PyTorch (benchmarks/peers/README.md). For every case the two programs run in turn,
``--rounds`` times, each in a process of its own; the ratio is that of the medians. PyTorch runs in the configurations
named by ``--modes`` and ``--tiles``, and the fastest counts. ``--isa avx2`` holds both to AVX2, ``--precision bf16``
lets both compute in bfloat16 (PyTorch by autocast).
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
PEERS = HERE / "peers"


def environment(isa: str) -> dict:
    variables = dict(os.environ)
    if isa == "avx2":
        variables["ONEDNN_MAX_CPU_ISA"] = "AVX2"
    return variables


def septum(program: pathlib.Path, options: list, isa: str) -> dict:
    command = [str(program), *map(str, options)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, env=environment(isa)).stdout)


def pytorch(script: str, options: list, isa: str) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "out.json"
        command = [sys.executable, "-W", "ignore", script, "--out", str(out), *map(str, options)]
        if isa:
            command += ["--isa", isa]
        subprocess.run(command, check=True, cwd=PEERS, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return json.loads(out.read_text())


def frame_cases(arguments, net: int) -> list[dict]:
    """One and several nets; PyTorch searches its best configuration with one net and keeps it for several."""
    ours, theirs, memory, peer = {}, {}, {}, {}
    for _ in range(arguments.rounds):
        for nets in arguments.ensembles:
            mine = septum(
                arguments.programs / "bench_frame",
                ["--net", net, "--nets", nets, "--threads", arguments.threads, "--repeats", arguments.repeats]
                + ["--precision", arguments.precision],
                arguments.isa,
            )
            ours.setdefault(nets, []).append(mine["seconds_median"])
            memory[nets] = max(memory.get(nets, 0), mine["peak_rss_bytes"])
        result = pytorch(
            "frame_inference.py",
            ["--threads", arguments.threads, "--nets", f"bn_feature_net_{net}x{net}"]
            + ["--ensemble", *(nets for nets in arguments.ensembles if nets > 1)]
            + ["--repeats", arguments.repeats, "--modes", *arguments.modes, "--forms", *arguments.forms]
            + ["--formats", "channels_last", "--tiles", *arguments.tiles, "--precision", arguments.precision],
            arguments.isa,
        )
        for best in result["best"]:
            theirs.setdefault(best["nets"], []).append(best["seconds_median"])
            peer[best["nets"]] = {key: best[key] for key in ("mode", "form", "tile", "version", "peak_rss_bytes")}
    return [
        {
            "case": f"frame 1280x1080, {net}x{net} net, {nets} net{'s' * (nets > 1)}",
            "septum_seconds": statistics.median(ours[nets]),
            "pytorch_seconds": statistics.median(theirs[nets]),
            "ratio": statistics.median(theirs[nets]) / statistics.median(ours[nets]),
            "septum_peak_bytes": memory[nets],
            "pytorch": peer[nets],
        }
        for nets in arguments.ensembles
    ]


def train_case(arguments, net: int, batch: int, crop: int = 0) -> dict:
    """Steps of so many patches, or of so many crops with crop x crop labelled pixels."""
    ours, theirs, peer = [], [], None
    for _ in range(arguments.rounds):
        mine = septum(
            arguments.programs / "bench_train",
            ["--net", net, "--batch", batch, "--crop", crop, "--threads", arguments.threads]
            + ["--precision", arguments.precision],
            arguments.isa,
        )
        ours.append(mine["patches_per_second"])
        result = pytorch(
            "train_speed.py",
            ["--threads", arguments.threads, "--cases", f"bn_feature_net_{net}x{net}:{batch}", "--crop", crop]
            + ["--modes", *arguments.modes, "--formats", "channels_last", "--allocators", "default", "keep"]
            + ["--precision", arguments.precision],
            arguments.isa,
        )
        best = max(result["best"], key=lambda e: e["patches_per_second"])
        theirs.append(best["patches_per_second"])
        peer = {key: best[key] for key in ("mode", "format", "allocator", "version", "peak_rss_bytes")}
    what = f"dense training, {net}x{net} net, crops {batch} of {crop}x{crop}" if crop else f"patch training, {net}x{net} net, batch {batch}"
    return {
        "case": what,
        "septum_patches_per_second": statistics.median(ours),
        "pytorch_patches_per_second": statistics.median(theirs),
        "ratio": statistics.median(ours) / statistics.median(theirs),
        "pytorch": peer,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--programs", type=pathlib.Path, required=True, help="folder of bench_frame and bench_train")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--isa", choices=["", "avx2"], default="")
    parser.add_argument("--precision", choices=["f32", "bf16"], default="f32")
    parser.add_argument("--modes", nargs="+", default=["eager", "compile"])
    parser.add_argument("--forms", nargs="+", default=["dilated", "fragments"])
    parser.add_argument("--tiles", nargs="+", default=["192x192", "256x256"])
    parser.add_argument("--cases", nargs="+", default=["frame31", "frame61", "train31", "train61", "dense31", "dense61"])
    parser.add_argument("--ensembles", nargs="+", type=int, default=[1, 5])
    parser.add_argument("--out", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    results = []
    for case in arguments.cases:
        if case.startswith("frame"):
            for result in frame_cases(arguments, int(case[5:])):
                results.append(result)
                print(json.dumps(result), flush=True)
        else:
            batch, crop = {"train31": (256, 0), "train61": (64, 0), "dense31": (1, 64), "dense61": (4, 64)}[case]
            results.append(train_case(arguments, int(case[5:]), batch, crop))
            print(json.dumps(results[-1]), flush=True)
    arguments.out.write_text(json.dumps({"threads": arguments.threads, "isa": arguments.isa, "precision": arguments.precision, "results": results}, indent=1))


if __name__ == "__main__":
    main()
