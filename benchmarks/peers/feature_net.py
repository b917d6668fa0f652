"""The published patch networks in PyTorch, in patch form and in dense form.

Van Valen et al. 2016 name them ``bn_feature_net_31x31`` and ``bn_feature_net_61x61``: chains of valid
convolutions, each followed by batch normalisation and ReLU, 2x2 max pools of stride 2, two fully connected
layers and a softmax. The fully connected layers see a 1x1 map and are written as 1x1 convolutions.

Two dense forms give the class vector of every pixel whose whole window lies in the image:

* dilated: pools become stride-1 maxima and every later layer is dilated by 2 per pool;
* fragments: every pool leaves its four shifted results in the batch, and they are interleaved at the end.
"""

from __future__ import annotations

import dataclasses

import torch
import torch.nn.functional as functional
from torch import nn

POOL = "pool"


@dataclasses.dataclass(frozen=True)
class Spec:
    """One published net: its field in pixels and its layers, (width, kernel) or ``POOL``."""

    name: str
    field: int
    layers: tuple

    @property
    def window(self) -> int:
        """Pixels between the centre of a patch and its border, (field - 1) / 2."""
        return (self.field - 1) // 2

    @property
    def pools(self) -> int:
        return sum(layer == POOL for layer in self.layers)


SPECS = {
    spec.name: spec
    for spec in (
        Spec(
            "bn_feature_net_31x31",
            31,
            ((32, 4), POOL, (64, 3), (64, 3), POOL, (128, 3), (200, 3), (200, 1)),
        ),
        Spec(
            "bn_feature_net_61x61",
            61,
            (
                (64, 3),
                (64, 4),
                POOL,
                (64, 3),
                (64, 3),
                POOL,
                (64, 3),
                (64, 3),
                POOL,
                (200, 4),
                (200, 1),
            ),
        ),
    )
}


class KerasBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation whose running deviation, sqrt(running_var), follows that of the batch, as in the Keras
    of the published nets (up to 1.0.6). Later releases, and PyTorch, average the variance.

    ``momentum`` is PyTorch's: 0.1 here is 0.9 in Keras. The batch's variance is the biased one; PyTorch itself
    feeds the unbiased one into the average.
    """

    def __init__(self, channels: int):
        super().__init__(channels, eps=1e-6, momentum=0.1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return super().forward(x)
        mean, variance = torch.zeros_like(self.running_mean), torch.zeros_like(self.running_var)
        y = functional.batch_norm(
            x, mean, variance, self.weight, self.bias, training=True, momentum=1.0, eps=self.eps
        )
        count = x.numel() // x.shape[1]
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            deviation = torch.sqrt(variance * ((count - 1) / count) + self.eps)
            self.running_var.copy_(self.running_var.sqrt().lerp(deviation, self.momentum) ** 2)
        return y


def shifted_maximum(x: torch.Tensor, dilation: int) -> torch.Tensor:
    """Stride-1 maximum over the four pixels (0,0), (0,d), (d,0), (d,d)."""
    rows = torch.maximum(x[:, :, :-dilation, :], x[:, :, dilation:, :])
    return torch.maximum(rows[:, :, :, :-dilation], rows[:, :, :, dilation:])


class FeatureNet(nn.Module):
    """A published net with trainable batch normalisation; returns logits.

    Input is (N, C, H, W). ``forward`` is the patch form (H = W = field gives a 1x1 map), ``dense`` the
    dilated form with an output of (N, K, H - field + 1, W - field + 1). Both share all parameters.
    """

    def __init__(self, spec: Spec, channels: int, classes: int = 3):
        super().__init__()
        self.spec = spec
        self.convolutions = nn.ModuleList()
        self.norms = nn.ModuleList()
        width = channels
        for layer in spec.layers:
            if layer != POOL:
                self.convolutions.append(nn.Conv2d(width, layer[0], layer[1]))
                self.norms.append(KerasBatchNorm2d(layer[0]))
                width = layer[0]
        self.convolutions.append(nn.Conv2d(width, classes, 1))
        self.reset()

    def reset(self) -> None:
        """He-normal weights, N(0, 2 / fan_in), and zero biases."""
        for convolution in self.convolutions:
            nn.init.kaiming_normal_(convolution.weight, mode="fan_in", nonlinearity="relu")
            nn.init.zeros_(convolution.bias)

    def weights(self) -> list[nn.Parameter]:
        """The convolution and dense weights: what L2 regularisation acts on."""
        return [convolution.weight for convolution in self.convolutions]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        index = 0
        for layer in self.spec.layers:
            if layer == POOL:
                x = functional.max_pool2d(x, 2)
            else:
                x = functional.relu(self.norms[index](self.convolutions[index](x)), inplace=True)
                index += 1
        return self.convolutions[index](x)

    def dense(self, x: torch.Tensor) -> torch.Tensor:
        index, dilation = 0, 1
        for layer in self.spec.layers:
            if layer == POOL:
                x = shifted_maximum(x, dilation)
                dilation *= 2
            else:
                convolution = self.convolutions[index]
                x = functional.conv2d(x, convolution.weight, convolution.bias, dilation=dilation)
                x = functional.relu(self.norms[index](x), inplace=True)
                index += 1
        return self.convolutions[index](x)


class FoldedNet(nn.Module):
    """Inference only: batch normalisation folded into the convolutions; returns class probabilities.

    ``form`` is ``dilated`` or ``fragments``; input (1, C, H, W), output (1, K, H - field + 1, W - field + 1).
    The fragments form wants output extents that are multiples of 2**pools.
    """

    def __init__(self, net: FeatureNet, form: str = "dilated"):
        super().__init__()
        if form not in ("dilated", "fragments"):
            raise ValueError(f"form {form!r}: valid are dilated, fragments")
        self.spec, self.form = net.spec, form
        self.convolutions = nn.ModuleList()
        dilation, index = 1, 0
        for layer in net.spec.layers + ((None, 1),):
            if layer == POOL:
                dilation *= 2
                continue
            source = net.convolutions[index]
            folded = nn.Conv2d(
                source.in_channels,
                source.out_channels,
                source.kernel_size,
                dilation=dilation if form == "dilated" else 1,
            )
            weight, bias = source.weight.double(), source.bias.double()
            if index < len(net.norms):
                norm = net.norms[index]
                scale = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
                weight = weight * scale[:, None, None, None]
                bias = (bias - norm.running_mean.double()) * scale + norm.bias.double()
            with torch.no_grad():
                folded.weight.copy_(weight)
                folded.bias.copy_(bias)
            self.convolutions.append(folded)
            index += 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.run_dilated(x) if self.form == "dilated" else self.run_fragments(x)

    def run_dilated(self, x: torch.Tensor) -> torch.Tensor:
        index, dilation = 0, 1
        for layer in self.spec.layers:
            if layer == POOL:
                x = shifted_maximum(x, dilation)
                dilation *= 2
            else:
                x = functional.relu(self.convolutions[index](x))
                index += 1
        return functional.softmax(self.convolutions[index](x), dim=1)

    def run_fragments(self, x: torch.Tensor) -> torch.Tensor:
        index = 0
        for layer in self.spec.layers:
            if layer == POOL:
                height, width = (x.shape[2] - 1) // 2, (x.shape[3] - 1) // 2
                x = torch.cat(
                    [
                        functional.max_pool2d(x[:, :, r : r + 2 * height, c : c + 2 * width], 2)
                        for r in (0, 1)
                        for c in (0, 1)
                    ]
                )
            else:
                x = functional.relu(self.convolutions[index](x))
                index += 1
        x = functional.softmax(self.convolutions[index](x), dim=1)
        for _ in range(self.spec.pools):
            count, classes, height, width = x.shape
            x = x.reshape(2, 2, count // 4, classes, height, width)
            x = x.permute(2, 3, 4, 0, 5, 1).reshape(count // 4, classes, 2 * height, 2 * width)
        return x


def tile_starts(extent: int, tile: int, multiple: int = 1) -> tuple[int, list[int]]:
    """Equal tiles that cover ``extent`` output pixels: the tile's extent (at most ``tile``, a multiple of
    ``multiple``) and the first pixel of each; the last tile is moved back to end at ``extent``."""
    count = -(-extent // tile)
    size = -(-extent // count)
    size = min(-(-size // multiple) * multiple, extent // multiple * multiple)
    count = -(-extent // size)
    return size, [min(i * size, extent - size) for i in range(count)]


def predict_tiled(
    function, image: torch.Tensor, field: int, tile, multiple: int = 1, layout=torch.channels_last
) -> torch.Tensor:
    """Applies a dense ``function`` to (C, H, W) tile by tile; returns (K, H - field + 1, W - field + 1).

    ``tile`` is the largest (rows, columns) of output per call. Tiles see their whole receptive field, so
    the result does not depend on the tiling.
    """
    rows, columns = image.shape[1] - field + 1, image.shape[2] - field + 1
    height, row_starts = tile_starts(rows, tile[0], multiple)
    width, column_starts = tile_starts(columns, tile[1], multiple)
    output = None
    for r in row_starts:
        for c in column_starts:
            window = image[None, :, r : r + height + field - 1, c : c + width + field - 1]
            result = function(window.contiguous(memory_format=layout))[0]
            if output is None:
                output = torch.empty((result.shape[0], rows, columns), dtype=torch.float32)
            output[:, r : r + height, c : c + width] = result
    return output
