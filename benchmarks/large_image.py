"""Segments an image of many gigabytes: simulated colonies side by side, 76,286 x 44,944 pixels by default.

    python benchmarks/large_image.py --program build/release/bin/septum --out big

writes big/image.tif (a tiled BigTIFF of 16 bits, uncompressed), segments it row by row with the cascade and the model
`bacteria`, and prints what the run planned, took and found. In some windows of the image cells are compared with the
simulated ones and with those of the same frame segmented by itself. Wants numpy and tifffile, and disk: 2 bytes a pixel for the image, 2 to 4 for the labels.
"""

import argparse
import json
import pathlib
import subprocess

import numpy
import tifffile

TILE = 512
FRAME = (1080, 1280)
BORDER = 15  # what a 31x31 field cannot see


def septum(program: pathlib.Path, *options) -> dict:
    command = [str(program), *map(str, options), "--json"]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


class Mosaic:
    """Frames side by side, in an order that the seed fixes."""

    def __init__(self, folder: pathlib.Path, height: int, width: int, seed: int):
        self.images = [tifffile.imread(file) for file in sorted((folder / "frames").glob("*.tif"))]
        self.truths = [tifffile.imread(file) for file in sorted((folder / "truth").glob("*.tif"))]
        self.height, self.width = height, width
        rows, columns = -(-height // FRAME[0]), -(-width // FRAME[1])
        self.frame = numpy.random.default_rng(seed).integers(len(self.images), size=(rows, columns))

    def piece(self, stack: list, row: int, column: int) -> numpy.ndarray:
        return stack[self.frame[row, column]]

    def strip(self, row: int) -> numpy.ndarray:
        return numpy.concatenate([self.piece(self.images, row, c) for c in range(self.frame.shape[1])], axis=1)

    def bands(self):
        """Rows of the image, TILE at a time, cut into tiles."""
        waiting = numpy.empty((0, self.width), self.images[0].dtype)
        given = 0
        for row in range(self.frame.shape[0]):
            waiting = numpy.concatenate([waiting, self.strip(row)[:, : self.width]])
            while given < self.height and (len(waiting) >= TILE or row + 1 == self.frame.shape[0]):
                band, waiting = waiting[: min(TILE, self.height - given)], waiting[TILE:]
                given += len(band)
                for column in range(0, self.width, TILE):
                    yield band[:, column : column + TILE]

    def write(self, file: pathlib.Path) -> None:
        tifffile.imwrite(
            file,
            self.bands(),
            shape=(self.height, self.width),
            dtype=self.images[0].dtype,
            tile=(TILE, TILE),
            bigtiff=True,
            metadata=None,
        )


def window(page: tifffile.TiffPage, row: int, column: int) -> numpy.ndarray:
    """A frame's pixels of a tiled page; nothing else is read."""
    across = -(-page.imagewidth // page.tilewidth)
    first = row // page.tilelength, column // page.tilewidth
    last = (row + FRAME[0] - 1) // page.tilelength, (column + FRAME[1] - 1) // page.tilewidth
    bands = []
    for r in range(first[0], last[0] + 1):
        tiles = []
        for c in range(first[1], last[1] + 1):
            index = r * across + c
            page.parent.filehandle.seek(page.dataoffsets[index])
            data = page.parent.filehandle.read(page.databytecounts[index])
            tile = numpy.zeros((page.tilelength, page.tilewidth), page.dtype)
            decoded = page.decode(data, index)[0]
            if decoded is not None:
                tile[: decoded.shape[1], : decoded.shape[2]] = decoded[0, :, :, 0]
            tiles.append(tile)
        bands.append(numpy.concatenate(tiles, axis=1))
    top, left = row - first[0] * page.tilelength, column - first[1] * page.tilewidth
    return numpy.concatenate(bands)[top : top + FRAME[0], left : left + FRAME[1]]


def score(program: pathlib.Path, found: list, truth: list, folder: pathlib.Path) -> dict:
    """What `septum evaluate` says of label images beside others."""
    for name, images in ("found", found), ("truth", truth):
        (folder / name).mkdir(parents=True)
        for index, image in enumerate(images):
            tifffile.imwrite(folder / name / f"window_{index:03}.tif", image)
    return septum(program, "evaluate", folder / "found", folder / "truth", "--crop", BORDER, "--uneroded", "--quiet")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--width", type=int, default=76286)
    parser.add_argument("--height", type=int, default=44944)
    parser.add_argument("--threads", type=int, default=0, help="0: one per core")
    parser.add_argument("--windows", type=int, default=40, help="frames of the mosaic whose cells are compared")
    parser.add_argument("--seed", type=int, default=3)
    given = parser.parse_args()

    colony = given.out / "colony"
    septum(given.program, "simulate", "bacteria", "--frames", 12, "--size", f"{FRAME[0]}x{FRAME[1]}", "--founders", 12,
           "--seed", given.seed, "--out", colony)  # fmt: skip
    rules = ("--preset", "bacteria", "--core-threshold", 0)
    first = septum(given.program, "segment", colony / "frames", *rules, "--cascade", "--out", given.out / "frames",
                   "--threads", given.threads)  # fmt: skip
    threshold = first["cascade"]["threshold"]

    mosaic = Mosaic(colony, given.height, given.width, given.seed)
    image = given.out / "image.tif"
    mosaic.write(image)
    print(f"{image}: {given.width} x {given.height} pixels, {image.stat().st_size / 1e9:.2f} GB")
    result = septum(given.program, "segment", image, *rules, "--rows", "always", "--no-overlays", "--cascade",
                    "--cascade-threshold", threshold, "--out", given.out / "cells", "--threads", given.threads)  # fmt: skip
    print(json.dumps(result, indent=2))

    random = numpy.random.default_rng(given.seed)
    by_frame = [tifffile.imread(file) for file in sorted((given.out / "frames" / "labels").glob("*.tif"))]
    found, truth, alone = [], [], []
    with tifffile.TiffFile(given.out / "cells" / "labels" / "image.tif") as file:
        for _ in range(given.windows):
            row = int(random.integers(given.height // FRAME[0]))
            column = int(random.integers(given.width // FRAME[1]))
            found.append(window(file.pages[0], row * FRAME[0], column * FRAME[1]))
            truth.append(mosaic.piece(mosaic.truths, row, column))
            alone.append(mosaic.piece(by_frame, row, column))
    for name, other in ("simulated cells", truth), ("cells of the frames alone", alone):
        scores = score(given.program, found, other, given.out / "windows" / name.replace(" ", "_"))
        kinds = ("true_positives", "false_positives", "false_negatives")
        true, invented, missed = (scores[kind]["0.5"] for kind in kinds)
        print(f"{given.windows} windows beside {name}: {true} found, {invented} more, {missed} missed")


if __name__ == "__main__":
    main()
