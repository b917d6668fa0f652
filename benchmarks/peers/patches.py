"""Cuts patches around pixels out of normalised images and turns each by a random element of D4."""

from __future__ import annotations

import numpy
import torch


class PatchReader:
    """Batches of (N, C, field, field) patches, channels-last, from a list of (C, H, W) images."""

    def __init__(self, images: list[numpy.ndarray], field: int):
        window = (field, field)
        self.half = (field - 1) // 2
        self.views = [
            numpy.lib.stride_tricks.sliding_window_view(image.transpose(1, 2, 0), window, axis=(0, 1))
            for image in images
        ]

    def batch(self, pixels: numpy.ndarray, symmetries: numpy.ndarray | None = None) -> torch.Tensor:
        """Patches centred on (image, row, column, …) lines; symmetries are numbers 0..7, None for upright.

        Symmetry s flips the columns when s & 1, then turns by s // 2 quarter turns: all eight of D4.
        """
        first = self.views[0]
        shape = (len(pixels), first.shape[3], first.shape[4], first.shape[2])
        patches = numpy.empty(shape, numpy.float32)
        for image, view in enumerate(self.views):
            mine = numpy.nonzero(pixels[:, 0] == image)[0]
            cut = view[pixels[mine, 1] - self.half, pixels[mine, 2] - self.half]
            patches[mine] = cut.transpose(0, 2, 3, 1)
        if symmetries is not None:
            for symmetry in range(1, 8):
                mine = numpy.nonzero(symmetries == symmetry)[0]
                turned = patches[mine]
                if symmetry & 1:
                    turned = turned[:, :, ::-1]
                patches[mine] = numpy.rot90(turned, symmetry // 2, axes=(1, 2))
        return torch.from_numpy(patches).permute(0, 3, 1, 2)
