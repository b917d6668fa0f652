"""Cuts one annotated data-set folder into its left half and its right half, as two data-set folders.

    python split_dataset.py FOLDER LEFT RIGHT

Columns [0, W // 2) go to LEFT, [W // 2, W) to RIGHT; every TIFF and PNG of FOLDER is cut, pixel values and
types unchanged, TIFFs written without compression. Training on one half and scoring on the other shares no
pixel, and any program that reads the two folders sees the same pixels.
"""

import argparse
import pathlib

import imageio.v3
import tifffile


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("left", type=pathlib.Path)
    parser.add_argument("right", type=pathlib.Path)
    arguments = parser.parse_args()

    paths = sorted(p for p in arguments.folder.iterdir() if p.suffix in (".tif", ".png"))
    if not paths:
        parser.error(f"{arguments.folder}: no .tif and no .png file")
    for folder in (arguments.left, arguments.right):
        folder.mkdir(parents=True, exist_ok=True)
    for path in paths:
        image = tifffile.imread(path) if path.suffix == ".tif" else imageio.v3.imread(path)
        middle = image.shape[1] // 2
        for folder, half in (
            (arguments.left, image[:, :middle]),
            (arguments.right, image[:, middle:]),
        ):
            if path.suffix == ".tif":
                tifffile.imwrite(folder / path.name, half)
            else:
                imageio.v3.imwrite(folder / path.name, half)


if __name__ == "__main__":
    main()
