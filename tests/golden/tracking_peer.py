"""The other side of septum's tracks: py-ctcmetrics, pytrackmate and geff.

    tracking_peer.py scores FOLDER     validates FOLDER/tracks/ctc and scores it against the simulated truth in
                                       FOLDER/movie; SEG, DET, TRA, LNK and complete tracks must be those in
                                       FOLDER/scores.json
    tracking_peer.py trackmate FOLDER  reads FOLDER/tracks/trackmate.xml and compares spots and tracks with
                                       FOLDER/tracks/links.csv
    tracking_peer.py geff FOLDER       reads FOLDER/tracks/tracks.geff with the package geff and compares it with
                                       FOLDER/tracks/links.csv

Exits with 77 where a package is not installed.
"""

import csv
import json
import pathlib
import shutil
import sys


def table(path):
    with open(path) as file:
        return list(csv.DictReader(file))


def scores(folder):
    from ctc_metrics import evaluate_sequence, validate_sequence

    movie, truth, result = folder / "movie", folder / "01_GT", folder / "01_RES"
    for part in ("TRA", "SEG"):
        (truth / part).mkdir(parents=True)
    lines = [
        " ".join(row[key] for key in ("id", "first_frame", "last_frame", "parent"))
        for row in table(movie / "lineage.csv")
    ]
    (truth / "TRA" / "man_track.txt").write_text("\n".join(lines) + "\n")
    for frame, file in enumerate(sorted((movie / "truth").glob("*.tif"))):
        shutil.copy(file, truth / "TRA" / f"man_track{frame:03d}.tif")
        shutil.copy(file, truth / "SEG" / f"man_seg{frame:03d}.tif")
    shutil.copytree(folder / "tracks" / "ctc", result)
    if not validate_sequence(str(result))["Valid"]:
        return ["py-ctcmetrics finds the folder invalid"]
    theirs = evaluate_sequence(str(result), str(truth), metrics=["SEG", "DET", "TRA", "LNK", "CT"])
    ours = json.loads((folder / "scores.json").read_text())
    problems = []
    for name, key in {"SEG": "seg", "DET": "det", "TRA": "tra", "LNK": "lnk", "CT": "complete_tracks"}.items():
        print(f"{name}: septum {ours[key]}, py-ctcmetrics {theirs[name]}")
        if not abs(ours[key] - theirs[name]) < 1e-9:
            problems.append(f"{name} differs")
    return problems


def trackmate(folder):
    from pytrackmate import trackmate_peak_import

    spots = trackmate_peak_import(str(folder / "tracks" / "trackmate.xml"), get_tracks=True)
    links = table(folder / "tracks" / "links.csv")
    # Cells that links connect, by the frames and labels of septum's own table.
    parent = {}

    def root(cell):
        while parent.setdefault(cell, cell) != cell:
            cell = parent[cell]
        return cell

    for link in links:
        a = (int(link["source_frame"]), int(link["source_label"]))
        b = (int(link["target_frame"]), int(link["target_label"]))
        parent[root(b)] = root(a)
    linked = {cell for cell in parent}
    sizes = {}
    for cell in linked:
        sizes[root(cell)] = sizes.get(root(cell), 0) + 1
    alone = len(spots) - len(linked)
    ours = sorted(list(sizes.values()) + [1] * alone)
    theirs = sorted(int(count) for count in spots.groupby("label").size())
    print(f"{len(spots)} spots in {len(theirs)} tracks")
    problems = [] if ours == theirs else ["tracks have other spots"]
    frames = {int(frame) for frame in spots["t_stamp"]}
    if frames != set(range(len(list((folder / "movie" / "truth").glob("*.tif"))))):
        problems.append("frames are missing")
    if not (spots["t"] == 10 * spots["t_stamp"]).all():
        problems.append("times are not those of 10 min per frame")
    return problems


def geff(folder):
    import geff as package

    place = str(folder / "tracks" / "tracks.geff")
    package.validate_structure(place)
    graph, metadata = package.read(place)
    units = {axis.name: axis.unit for axis in metadata.axes}
    place_of = {node: (values["frame"], values["label"]) for node, values in graph.nodes(data=True)}
    theirs = sorted(place_of[a] + place_of[b] for a, b in graph.edges)
    keys = ("source_frame", "source_label", "target_frame", "target_label")
    ours = sorted(tuple(int(link[key]) for key in keys) for link in table(folder / "tracks" / "links.csv"))
    print(f"{graph.number_of_nodes()} nodes, {len(theirs)} edges, units {units}")
    problems = [] if theirs == ours else ["edges are others than the links"]
    if units["t"] != "minute" or any(values["t"] != 10 * values["frame"] for _, values in graph.nodes(data=True)):
        problems.append("times are not those of 10 min per frame")
    return problems


def main():
    folder = pathlib.Path(sys.argv[2])
    try:
        problems = {"scores": scores, "trackmate": trackmate, "geff": geff}[sys.argv[1]](folder)
    except ImportError as missing:
        print(f"skipped: {missing}")
        sys.exit(77)
    print("\n".join(problems))
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
