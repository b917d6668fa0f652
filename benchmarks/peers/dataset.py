"""Annotated images as septum reads them: folders of TIFF channels and two-valued PNG annotations.

A folder holds ``phase.tif`` and/or ``nuclear.tif`` (and any other channel by its name), ``interior.png`` and
``edge.png``. Arrays are (rows, columns) or (channels, rows, columns).
"""

from __future__ import annotations

import pathlib

import imageio.v3
import numpy
import scipy.ndimage
import tifffile

EDGE, INTERIOR, BACKGROUND = 0, 1, 2
CROSS = scipy.ndimage.generate_binary_structure(2, 1)


def read_channel(folder: str | pathlib.Path, channel: str) -> numpy.ndarray:
    """One raw channel, (H, W)."""
    path = pathlib.Path(folder) / f"{channel}.tif"
    image = tifffile.imread(path)
    if image.ndim != 2:
        raise ValueError(f"{path}: an image of shape {image.shape}; one channel of one frame is valid")
    return image


def read_annotation(folder: str | pathlib.Path, name: str) -> numpy.ndarray:
    """A two-valued annotation as booleans, (H, W)."""
    path = pathlib.Path(folder) / f"{name}.png"
    image = imageio.v3.imread(path)
    if image.ndim != 2:
        raise ValueError(f"{path}: an image of shape {image.shape}; a grey image is valid")
    return image > 0


def normalize(image: numpy.ndarray, window: int) -> numpy.ndarray:
    """a = image / median; a - mean of a over (2 window + 1)^2, borders mirrored with the edge pixel."""
    values = image.astype(numpy.float64)
    median = numpy.median(values)
    if not median > 0:
        raise ValueError(f"the image's median is {median}; a positive median is needed: crop the image first")
    values /= median
    box = scipy.ndimage.uniform_filter(values, 2 * window + 1, mode="reflect")
    return (values - box).astype(numpy.float32)


def read_normalized(folder: str | pathlib.Path, channels: list[str], window: int) -> numpy.ndarray:
    """All channels, each normalised on its own over the whole image, (C, H, W) float32."""
    return numpy.stack([normalize(read_channel(folder, name), window) for name in channels])


def class_map(folder: str | pathlib.Path) -> numpy.ndarray:
    """0 edge (annotated edge dilated by the 5-pixel cross, less interior), 1 interior, 2 background."""
    interior = read_annotation(folder, "interior")
    edge = scipy.ndimage.binary_dilation(read_annotation(folder, "edge"), CROSS) & ~interior
    classes = numpy.full(interior.shape, BACKGROUND, numpy.uint8)
    classes[interior] = INTERIOR
    classes[edge] = EDGE
    return classes


def sample_pixels(
    class_maps: list[numpy.ndarray], window: int, random: numpy.random.Generator
) -> tuple[numpy.ndarray, int]:
    """Class-balanced training pixels: (image, row, column, class) per line, and the number n per class.

    Candidates are the pixels with window < r < H - window and the same for columns. n is the smallest
    number of edge-class pixels over the images, counted among the candidates. Every image gives at most n
    pixels of each class, drawn without replacement.
    """
    inner = [m[window + 1 : -window, window + 1 : -window] for m in class_maps]
    counted = [m[window + 1 : -window - 1, window + 1 : -window - 1] for m in class_maps]
    limit = min(int((m == EDGE).sum()) for m in counted)
    if limit == 0:
        raise ValueError(f"no edge pixel lies {window + 1} pixels inside the border of every image")
    lines = []
    for image, classes in enumerate(inner):
        for label in (EDGE, INTERIOR, BACKGROUND):
            rows, columns = numpy.nonzero(classes == label)
            chosen = random.permutation(len(rows))[:limit]
            line = numpy.empty((len(chosen), 4), numpy.int64)
            line[:, 0], line[:, 3] = image, label
            line[:, 1], line[:, 2] = rows[chosen] + window + 1, columns[chosen] + window + 1
            lines.append(line)
    return numpy.concatenate(lines), limit
