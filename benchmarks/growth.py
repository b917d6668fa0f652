"""How cost grows with image size, cells, frames and threads, and each layer's share of the machine's measured peak.

    python benchmarks/growth.py --programs build/release/bin --out results

writes results/growth.json, growth.md (tables), growth.svg and layers.svg. Standard library only; no peer takes part.
`bash benchmarks/run.sh` builds the programs, runs this and the comparison with peers.
"""

import argparse
import json
import math
import os
import pathlib
import re
import subprocess

COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7"]


def run(program: pathlib.Path, *options) -> str:
    return subprocess.run([str(program), *map(str, options)], check=True, capture_output=True, text=True).stdout


def frame(programs: pathlib.Path, **options) -> dict:
    arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
    return json.loads(run(programs / "bench_frame", *arguments))


def image_sizes(programs: pathlib.Path, threads: int, repeats: int, sides: list[int]) -> list[dict]:
    """Seconds and memory of one net over square frames."""
    points = []
    for side in sides:
        one = frame(programs, net=31, threads=threads, repeats=repeats, rows=side, columns=side)
        points.append({"at": side * side / 1e6, "seconds": one["seconds_median"], "bytes": one["peak_rss_bytes"]})
    return points


def thread_counts(programs: pathlib.Path, most: int, repeats: int, side: int) -> list[dict]:
    counts = sorted({1, most} | {2**k for k in range(1, most.bit_length()) if 2**k < most})
    return [
        {"at": n, "seconds": frame(programs, net=31, threads=n, repeats=repeats, rows=side, columns=side)["seconds_median"]}
        for n in counts
    ]


def cell_counts(programs: pathlib.Path, threads: int, repeats: int, sides: list[int]) -> list[dict]:
    """Milliseconds of components and of region statistics over frames with ever more cells."""
    points = []
    for side in sides:
        text = run(programs / "bench_regions", "--threads", threads, "--repeats", repeats, "--rows", side, "--columns", side)
        cells = int(re.search(r"(\d+) cells", text)[1])
        seconds = sum(float(re.search(rf"^{task}\s+([\d.]+)", text, re.M)[1]) for task in ("components", "regions")) / 1e3
        points.append({"at": cells, "seconds": seconds})
    return points


def frame_counts(programs: pathlib.Path, spots: int, frames: list[int]) -> list[dict]:
    """Seconds of tracking so many spots a frame over ever longer movies."""
    points = []
    for count in frames:
        one = json.loads(run(programs / "bench_tracking", "spots", count, count * spots))
        points.append({"at": count, "seconds": one["seconds"], "bytes": one.get("peak_rss_bytes", one.get("peak_bytes"))})
    return points


def slope(points: list[dict]) -> float:
    """Exponent of growth: the slope of log seconds against log size, by least squares."""
    x = [math.log(p["at"]) for p in points]
    y = [math.log(p["seconds"]) for p in points]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    below = sum((a - mean_x) ** 2 for a in x)
    return sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y)) / below if below else float("nan")


def rounded(value: float) -> str:
    return f"{value:.3g}"


def table(growth: dict) -> str:
    lines = ["| what grows | sizes | seconds | seconds ~ size to the power of |", "|---|---|---|---|"]
    for name, points in growth.items():
        sizes = ", ".join(rounded(p["at"]) for p in points)
        seconds = ", ".join(rounded(p["seconds"]) for p in points)
        lines.append(f"| {name} | {sizes} | {seconds} | {slope(points):.2f} |")
    return "\n".join(lines)


def layer_table(nets: dict) -> str:
    lines = ["| net | layer | seconds | share of the measured peak |", "|---|---|---|---|"]
    for name, net in nets.items():
        for layer in net["layers"]:
            lines.append(f"| {name} | {layer['layer']} | {rounded(layer['seconds'])} | {layer['share_of_peak']:.2f} |")
        lines.append(f"| {name} | whole net | {rounded(net['seconds_median'])} | {net['share_of_peak']:.2f} |")
    return "\n".join(lines)


def svg(width: int, height: int, parts: list[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
    return head + 'font-family="sans-serif" font-size="12">\n<rect width="100%" height="100%" fill="white"/>\n' + "\n".join(parts) + "\n</svg>\n"


def growth_figure(growth: dict) -> str:
    """A small log-log plot for each of what grows, with a dashed line of proportional growth."""
    side, gap = 200, 64
    parts = []
    for index, (name, points) in enumerate(growth.items()):
        left, top = gap + index * (side + gap), 36
        low_x, high_x = math.log(points[0]["at"]), math.log(points[-1]["at"])
        values = [math.log(p["seconds"]) for p in points]
        start = values[0]
        falls = name == "threads"
        ideal_end = start + (-1 if falls else 1) * (high_x - low_x)
        low_y, high_y = min(values + [ideal_end]) - 0.1, max(values + [ideal_end]) + 0.1

        def x(value: float) -> float:
            return left + side * (math.log(value) - low_x) / (high_x - low_x or 1)

        def y(log_seconds: float) -> float:
            return top + side * (1 - (log_seconds - low_y) / (high_y - low_y))

        parts.append(f'<text x="{left}" y="20" font-size="13">{name}</text>')
        parts.append(f'<path d="M{left} {top}V{top + side}H{left + side}" fill="none" stroke="#444444"/>')
        parts.append(
            f'<path d="M{x(points[0]["at"]):.1f} {y(start):.1f}L{x(points[-1]["at"]):.1f} {y(ideal_end):.1f}" '
            'stroke="#999999" stroke-dasharray="4 4"/>'
        )
        line = " ".join(f"{x(p['at']):.1f},{y(math.log(p['seconds'])):.1f}" for p in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{COLOURS[index % 4]}" stroke-width="2"/>')
        for p in points:
            at = y(math.log(p["seconds"]))
            parts.append(f'<circle cx="{x(p["at"]):.1f}" cy="{at:.1f}" r="3" fill="{COLOURS[index % 4]}"/>')
            parts.append(f'<text x="{x(p["at"]):.1f}" y="{top + side + 16}" text-anchor="middle" font-size="10">{rounded(p["at"])}</text>')
            parts.append(f'<text x="{x(p["at"]) + 5:.1f}" y="{at - 5:.1f}" font-size="10">{rounded(p["seconds"])} s</text>')
    parts.append(f'<text x="{gap}" y="{36 + side + 36}">dashed: in proportion (threads: in inverse proportion); both axes logarithmic</text>')
    return svg(len(growth) * (side + gap) + gap, side + 84, parts)


def layer_figure(nets: dict) -> str:
    """Bars of each layer's share of the measured peak; 1 is the peak of direct sums."""
    row, left, wide = 18, 230, 380
    most = max(1.2, *(layer["share_of_peak"] for net in nets.values() for layer in net["layers"]))
    parts, at = [], 30
    for index, (name, net) in enumerate(nets.items()):
        parts.append(f'<text x="8" y="{at}" font-size="13">{name}: whole net {net["share_of_peak"]:.2f}</text>')
        at += 8
        for layer in net["layers"]:
            length = wide * layer["share_of_peak"] / most
            parts.append(f'<text x="{left - 8}" y="{at + 13}" text-anchor="end">{layer["layer"]}</text>')
            parts.append(f'<rect x="{left}" y="{at + 3}" width="{length:.1f}" height="12" fill="{COLOURS[index % 4]}"/>')
            parts.append(f'<text x="{left + length + 5:.1f}" y="{at + 13}" font-size="10">{layer["share_of_peak"]:.2f}</text>')
            at += row
        at += 24
    one = left + wide / most
    parts.append(f'<path d="M{one:.1f} 20V{at - 16}" stroke="#444444" stroke-dasharray="4 4"/>')
    parts.append(f'<text x="{one + 4:.1f}" y="{at - 4}" font-size="10">1: the measured peak of direct sums</text>')
    return svg(left + wide + 60, at + 8, parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--programs", type=pathlib.Path, required=True, help="folder of bench_frame and the others")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder for the results")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--sides", nargs="+", type=int, default=[256, 512, 1024, 2048])
    parser.add_argument("--frames", nargs="+", type=int, default=[50, 100, 200, 400])
    arguments = parser.parse_args()
    programs, threads, repeats = arguments.programs, arguments.threads, arguments.repeats
    growth = {
        "megapixels (31x31 net)": image_sizes(programs, threads, repeats, arguments.sides),
        "threads": thread_counts(programs, threads, repeats, 1024),
        "cells (components, statistics)": cell_counts(programs, threads, repeats, arguments.sides),
        "frames (tracking 200 spots)": frame_counts(programs, 200, arguments.frames),
    }
    if len(growth["threads"]) < 2:
        del growth["threads"]
    nets = {
        f"{net}x{net} net": json.loads(
            run(programs / "bench_frame", "--net", net, "--threads", threads, "--repeats", repeats, "--layers")
        )
        for net in (31, 61)
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    machine = next(iter(nets.values()))["machine"]
    summary = {"machine": machine, "threads": threads, "growth": growth, "layers": nets}
    (arguments.out / "growth.json").write_text(json.dumps(summary, indent=1) + "\n")
    text = f"Machine: {machine}, {threads} threads.\n\n{table(growth)}\n\n{layer_table(nets)}\n"
    (arguments.out / "growth.md").write_text(text)
    (arguments.out / "growth.svg").write_text(growth_figure(growth))
    (arguments.out / "layers.svg").write_text(layer_figure(nets))
    print(text)


if __name__ == "__main__":
    main()
