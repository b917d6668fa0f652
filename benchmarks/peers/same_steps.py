"""Repeats septum's patch training from the same weights and patches, and compares step by step.

    bench_training_trace FOLDER TRACE --steps 100
    python same_steps.py FOLDER TRACE

FOLDER is a data set of one phase image. First what goes in: the normalised image, the class of every pixel, how
many pixels of each class were drawn from which candidates, what share was held out, how often each symmetry of
the square occurs. Then the steps: loss, gradient of the first step (from the velocity), parameters and running
statistics after 1, 10, 100, ... steps. Differences are relative to the largest magnitude of the tensor.
Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import pathlib

import numpy
import torch
import torch.nn.functional as functional

import dataset
import feature_net
import keras_sgd
import patches

NET = "bn_feature_net_31x31"
# Symmetry k of septum: for k >= 4 a reflection of the columns, then k % 4 quarter turns.
SYMMETRY = [2 * (k % 4) + (k >= 4) for k in range(8)]


def load(net: feature_net.FeatureNet, values: numpy.ndarray) -> None:
    """Fills a net from septum's flat row of parameters; a running deviation becomes a variance."""
    at = 0

    def take(shape):
        nonlocal at
        count = int(numpy.prod(shape))
        part = values[at : at + count].reshape(shape)
        at += count
        return torch.from_numpy(part.astype(numpy.float64))

    with torch.no_grad():
        for index, convolution in enumerate(net.convolutions):
            out, width, kernel, _ = convolution.weight.shape
            convolution.weight.copy_(take((out, kernel, kernel, width)).permute(0, 3, 1, 2))
            convolution.bias.copy_(take((out,)))
            if index < len(net.norms):
                norm = net.norms[index]
                norm.weight.copy_(take((out,)))
                norm.bias.copy_(take((out,)))
                norm.running_mean.copy_(take((out,)))
                norm.running_var.copy_(take((out,)) ** 2)
    if at != len(values):
        raise ValueError(f"{len(values)} values for a net of {at}")


def tensors(net: feature_net.FeatureNet) -> dict[str, torch.Tensor]:
    """Every tensor of a net by name, with running deviations."""
    named = {}
    for index, convolution in enumerate(net.convolutions):
        named[f"weight{index}"], named[f"bias{index}"] = convolution.weight, convolution.bias
        if index < len(net.norms):
            norm = net.norms[index]
            named[f"gamma{index}"], named[f"beta{index}"] = norm.weight, norm.bias
            named[f"running_mean{index}"] = norm.running_mean
            named[f"running_deviation{index}"] = norm.running_var.sqrt()
    return {name: tensor.detach().double().clone() for name, tensor in named.items()}


def kind(name: str) -> str:
    return name.rstrip("0123456789")


def distances(values: dict, truth: dict, before: dict) -> dict[str, float]:
    """|values - truth| / |truth - before| per kind of tensor, in Euclidean norms over all layers; the biases
    before a batch normalisation are left out, since nothing but rounding moves them."""
    last = max(int(name[4:]) for name in truth if kind(name) == "bias")
    squares: dict[str, list[float]] = {}
    for name, tensor in truth.items():
        if kind(name) == "bias" and name != f"bias{last}":
            continue
        moved = tensor - before[name] if name in before else tensor
        apart = squares.setdefault(kind(name), [0.0, 0.0])
        apart[0] += float(((values[name] - tensor) ** 2).sum())
        apart[1] += float((moved**2).sum())
    return {name: (a / b) ** 0.5 for name, (a, b) in squares.items()}


def inputs(folder: pathlib.Path, trace: pathlib.Path, window: int) -> dict:
    image = dataset.read_normalized(folder, ["phase"], window)
    classes = dataset.class_map(folder)
    ours = {name: numpy.load(trace / f"{name}.npy") for name in ("image", "classes", "training", "validation", "patches")}
    drawn = numpy.concatenate([ours["training"], ours["validation"]])
    _, limit = dataset.sample_pixels([classes], window, numpy.random.default_rng(0))
    inner = (drawn[:, :2] > window).all() and (drawn[:, :2] < numpy.array(classes.shape) - window).all()
    rows, columns = numpy.indices(classes.shape)
    share = {}
    for label in range(3):
        # Mean place of the drawn pixels against that of all candidates, in standard errors.
        mask = classes == label
        mask[: window + 1], mask[-window:], mask[:, : window + 1], mask[:, -window:] = 0, 0, 0, 0
        mine = drawn[drawn[:, 2] == label]
        errors = [float((mine[:, axis].mean() - place[mask].mean()) / (place[mask].std() / len(mine) ** 0.5))
                  for axis, place in enumerate((rows, columns))]
        share[label] = {"drawn": len(mine), "candidates": int(mask.sum()), "place_in_standard_errors": errors}
    epoch = ours["patches"][: len(ours["training"])]
    return {
        "image_difference": float(numpy.abs(ours["image"][:, :, 0] - image[0]).max()),
        "classes_that_differ": int((ours["classes"] != classes).sum()),
        "labels_that_differ": int((classes[drawn[:, 0], drawn[:, 1]] != drawn[:, 2]).sum()),
        "drawn_twice": len(drawn) - len(numpy.unique(drawn[:, :2], axis=0)),
        "all_inside": bool(inner),
        "limit": limit,
        "per_class": share,
        "held_out": len(ours["validation"]),
        "held_out_per_class": numpy.bincount(ours["validation"][:, 2]).tolist(),
        "every_patch_once_per_epoch": len(numpy.unique(epoch[:, :2], axis=0)) == len(ours["training"]),
        "symmetries": numpy.bincount(epoch[:, 3], minlength=8).tolist(),
        "classes_of_the_first_batches": [numpy.bincount(epoch[k : k + 256, 2], minlength=3).tolist()
                                         for k in (0, 256, 512)],
    }


class Repeat:
    """The training of a trace, step by step, in one precision."""

    def __init__(self, parameters: numpy.ndarray, image: numpy.ndarray, precision: torch.dtype):
        self.net = feature_net.FeatureNet(feature_net.SPECS[NET], 1).to(precision)
        load(self.net, parameters)
        self.net.train()
        self.reader = patches.PatchReader([image], self.net.spec.field)
        self.optimizer = keras_sgd.KerasSGD(self.net.parameters(), self.net.weights())
        self.precision = precision

    def step(self, lines: numpy.ndarray, epoch: int) -> float:
        """One update by patches (row, column, class, symmetry); returns their mean loss."""
        self.optimizer.rate = 0.01 * 0.95**epoch
        pixels = numpy.insert(lines[:, :3], 0, 0, axis=1)
        x = self.reader.batch(pixels, numpy.array(SYMMETRY)[lines[:, 3]]).to(self.precision)
        loss = functional.cross_entropy(self.net(x)[:, :, 0, 0], torch.from_numpy(lines[:, 2].astype(numpy.int64)))
        loss.backward()
        self.optimizer.step()
        return float(loss.detach())


def steps(trace: pathlib.Path, batch: int) -> list[dict]:
    """How far septum (float32) and PyTorch in float32 are from PyTorch in float64."""
    image = numpy.load(trace / "image.npy").transpose(2, 0, 1)
    order = numpy.load(trace / "patches.npy")
    losses = numpy.load(trace / "losses.npy")
    per_epoch = len(numpy.load(trace / "training.npy"))
    start = numpy.load(trace / "parameters_0.npy")
    at = sorted(int(path.stem.split("_")[1]) for path in trace.glob("parameters_*.npy"))
    single, double = Repeat(start, image, torch.float32), Repeat(start, image, torch.float64)
    septum = Repeat(start, image, torch.float64).net
    before = tensors(double.net)
    batches = [(epoch, first) for epoch in range(len(order) // per_epoch) for first in range(0, per_epoch, batch)]
    compared = []
    apart = {"septum": [], "pytorch_f32": []}
    for step, (epoch, first) in enumerate(batches[: at[-1]], start=1):
        lines = order[epoch * per_epoch + first : epoch * per_epoch + min(first + batch, per_epoch)]
        exact = double.step(lines, epoch)
        apart["pytorch_f32"].append(single.step(lines, epoch) / exact - 1)
        apart["septum"].append(float(losses[step - 1]) / len(lines) / exact - 1)
        if step not in at:
            continue
        load(septum, numpy.load(trace / f"parameters_{step}.npy"))
        truth = tensors(double.net)
        compared.append({
            "step": step,
            "loss": exact,
            "largest_loss_difference": {name: max(map(abs, values)) for name, values in apart.items()},
            "mean_loss_difference": {name: float(numpy.mean(values)) for name, values in apart.items()},
            "septum": distances(tensors(septum), truth, before),
            "pytorch_f32": distances(tensors(single.net), truth, before),
        })
        if step == 1:
            load(septum, numpy.load(trace / "velocity_1.npy"))
            compared[-1]["gradient"] = {
                "septum": distances(tensors(septum), velocity(double), {}),
                "pytorch_f32": distances(velocity(single), velocity(double), {}),
            }
    return compared


def velocity(run: Repeat) -> dict[str, torch.Tensor]:
    names = [name for name, _ in run.net.named_parameters()]
    short = {("convolutions", "weight"): "weight", ("convolutions", "bias"): "bias",
             ("norms", "weight"): "gamma", ("norms", "bias"): "beta"}
    found = {}
    for name, value in zip(names, run.optimizer.velocities):
        group, index, field = name.split(".")
        found[short[group, field] + index] = value.double()
    # A bias before batch normalisation has no gradient but rounding.
    last = len(run.net.convolutions) - 1
    return {name: value for name, value in found.items() if kind(name) != "bias" or name == f"bias{last}"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("trace", type=pathlib.Path)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    result = inputs(arguments.folder, arguments.trace, feature_net.SPECS[NET].window)
    result["steps"] = steps(arguments.trace, arguments.batch)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
