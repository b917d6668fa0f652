"""septum's links and scores beside LapTrack, a plain form of TrackMate's definitions, and py-ctcmetrics.

    python benchmarks/peers/tracking.py --program build/release/bin/septum [--tables 40]

Needs numpy, scipy, pandas, laptrack and py-ctcmetrics. Random tables of points that move, divide, vanish and are
missed go through ``septum track --points`` and through the peers with the same settings: every edge must be equal.
A simulated colony with missed and joined cells is tracked, written as a Cell Tracking Challenge folder, validated and
scored by both: SEG, DET, TRA, LNK, CT and BC(0..3) must be equal; TF is printed.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import warnings

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

warnings.simplefilter("ignore")


def moving_points(rng, frames, count, side, missed):
    places, rows = rng.random((count, 2)) * side, []
    for frame in range(frames):
        places = places + rng.normal(0, 2.5, places.shape)
        born = places[rng.random(len(places)) < 0.05]
        places = np.concatenate([places, born + rng.normal(0, 3, born.shape)])
        places = places[rng.random(len(places)) > 0.05]
        rows += [(frame, *place) for place in places[rng.random(len(places)) > missed]]
    table = pd.DataFrame(rows, columns=["frame", "position_x", "position_y"])
    table.insert(0, "id", rng.permutation(10 * len(table))[: len(table)])
    return table


def block_assignment(pairs, price):
    """Minimum of the whole matrix [C D; B L] of Jaqaman et al. with L = price, by scipy."""
    rows = sorted({a for a, _ in pairs})
    columns = sorted({b for _, b in pairs})
    n, m = len(rows), len(columns)
    costs = np.full((n + m, n + m), 1e12)
    for (a, b), cost in pairs.items():
        i, j = rows.index(a), columns.index(b)
        costs[i, j], costs[n + j, m + i] = cost, price
    costs[np.arange(n), m + np.arange(n)] = price
    costs[n + np.arange(m), np.arange(m)] = price
    chosen = linear_sum_assignment(costs)[1]
    return [(rows[i], columns[j]) for i, j in enumerate(chosen[:n]) if j < m]


def trackmate_links(table, distance, gap, splitting, merging):
    place = {r.id: np.array([r.position_x, r.position_y]) for r in table.itertuples()}
    frame = {r.id: r.frame for r in table.itertuples()}
    cost = lambda a, b: ((place[a] - place[b]) ** 2).sum()
    edges, after, before = set(), {}, {}
    numbers = sorted(set(table.frame))
    for first, second in zip(numbers, numbers[1:]):
        pairs = {
            (a, b): cost(a, b)
            for a in table.id[table.frame == first]
            for b in table.id[table.frame == second]
            if cost(a, b) < distance**2
        }
        for a, b in block_assignment(pairs, 1.05 * max(pairs.values())) if pairs else []:
            edges.add((a, b))
            after[a], before[b] = b, a
    starts = [a for a in after if a not in before]
    ends = [b for b in before if b not in after]
    middles = [a for a in after if a in before]
    near = lambda a, b, frames: 1 <= frame[b] - frame[a] <= frames and cost(a, b) <= distance**2
    pairs = {}
    if gap:
        pairs |= {(a, b): cost(a, b) for a in ends for b in starts if near(a, b, gap)}
    if merging:
        pairs |= {(a, b): cost(a, b) for a in ends for b in middles if near(a, b, 1)}
    if splitting:
        pairs |= {(a, b): cost(a, b) for a in middles for b in starts if near(a, b, 1)}
    if pairs:
        ordered = np.sort(list(pairs.values()))
        rank = int(np.floor((len(ordered) - 1) * 0.9 + 0.5))
        edges |= set(block_assignment(pairs, 1.05 * ordered[rank]))
    return edges


def laptrack_links(table, distance, gap, splitting, merging):
    from laptrack import LapTrack

    cutoff = distance**2
    tracker = LapTrack(
        cutoff=cutoff,
        gap_closing_cutoff=cutoff if gap else False,
        gap_closing_max_frame_count=gap,
        splitting_cutoff=cutoff if splitting else False,
        merging_cutoff=cutoff if merging else False,
    )
    frames = [table[table.frame == f] for f in range(table.frame.max() + 1)]
    tree = tracker.predict([f[["position_x", "position_y"]].values for f in frames])
    name = lambda node: int(frames[node[0]].id.iloc[node[1]])
    return {(name(a), name(b)) if a[0] < b[0] else (name(b), name(a)) for a, b in tree.edges}


def septum_links(program, folder, preset, table, distance, gap, splitting, merging):
    file, out = folder / "points.csv", folder / "links"
    table.to_csv(file, index=False)
    command = [program, "track", "--points", file, "--preset", preset, "--max-distance", distance]
    command += ["--gap-frames", gap, "--out", out, "--quiet"]
    command += ["--splitting"] * splitting + ["--merging"] * merging
    subprocess.run([str(c) for c in command], check=True)
    links = pd.read_csv(out / "links.csv")
    return set(zip(links.source_id, links.target_id))


def compare_links(program, folder, tables):
    rng, edges, wrong = np.random.default_rng(0), 0, 0
    for _ in range(tables):
        table = moving_points(rng, 12, int(rng.integers(10, 60)), float(rng.choice([60, 120])), float(rng.choice([0, 0.1])))
        settings = (float(rng.choice([8, 15])), int(rng.choice([0, 1, 2, 3])), bool(rng.random() < 0.5), bool(rng.random() < 0.5))
        for preset, peer in (("trackmate", trackmate_links), ("laptrack", laptrack_links)):
            ours = septum_links(program, folder, preset, table, *settings)
            theirs = peer(table, *settings)
            edges += len(theirs)
            wrong += len(ours ^ theirs)
            if ours != theirs:
                print("links differ:", preset, settings, len(ours - theirs), len(theirs - ours))
    print(f"links: {edges} edges of {2 * tables} runs, {wrong} differ")
    return wrong


def compare_scores(program, folder, frames, rate):
    from ctc_metrics import evaluate_sequence, validate_sequence

    run = lambda *options: subprocess.run([str(program), *map(str, options), "--quiet"], check=True, capture_output=True, text=True).stdout
    movie, tracks, truth = folder / "movie", folder / "tracks", folder / "01_GT"
    for old in (movie, tracks, truth):
        shutil.rmtree(old, ignore_errors=True)
    run("simulate", "bacteria", "--frames", frames, "--size", "240x240", "--founders", 5, "--missed", rate, "--merged", rate, "--out", movie)
    run("track", movie, "--out", tracks)
    # The truth in the challenge's layout.
    (truth / "TRA").mkdir(parents=True)
    (truth / "SEG").mkdir()
    lineage = pd.read_csv(movie / "lineage.csv")
    lines = lineage[["id", "first_frame", "last_frame", "parent"]].itertuples(index=False)
    (truth / "TRA" / "man_track.txt").write_text("".join(" ".join(map(str, line)) + "\n" for line in lines))
    for frame, file in enumerate(sorted((movie / "truth").glob("*.tif"))):
        shutil.copy(file, truth / "TRA" / f"man_track{frame:03d}.tif")
        shutil.copy(file, truth / "SEG" / f"man_seg{frame:03d}.tif")
    ours = json.loads(run("evaluate", tracks / "ctc", truth, "--json"))
    result = folder / "01_RES"
    shutil.rmtree(result, ignore_errors=True)
    shutil.copytree(tracks / "ctc", result)
    if not validate_sequence(str(result))["Valid"]:
        print("py-ctcmetrics finds our folder invalid")
        return 1
    theirs = evaluate_sequence(str(result), str(truth))
    pairs = {"SEG": "seg", "DET": "det", "TRA": "tra", "LNK": "lnk", "CT": "complete_tracks", "TF": "track_fractions"}
    pairs |= {f"BC({i})": None for i in range(4)}
    wrong = 0
    for name, key in pairs.items():
        value = ours[key] if key else ours["branching_correctness"][name[3]]
        same = abs(value - theirs[name]) < 1e-9 if theirs.get(name) is not None else value is None
        # py-ctcmetrics' TF depends on the order of labels, as a comment in its code says.
        wrong += not same and name != "TF"
        print(f"{name} at {rate:.0%} missed and joined: septum {value}, py-ctcmetrics {theirs.get(name)}{'' if same else '  DIFFERS'}")
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=lambda path: pathlib.Path(path).resolve(), required=True)
    parser.add_argument("--tables", type=int, default=40)
    parser.add_argument("--frames", type=int, default=20)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        wrong = compare_links(arguments.program, folder, arguments.tables)
        for rate in (0, 0.03):
            wrong += compare_scores(arguments.program, folder, arguments.frames, rate)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
