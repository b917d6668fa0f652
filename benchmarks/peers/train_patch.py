"""The paper's patch training (Van Valen et al. 2016) in PyTorch: the yardstick of ``septum train``.

    python train_patch.py --dataset TRAIN… --test TEST… --net bn_feature_net_61x61 --channels phase nuclear \
        --patches 50000 --seed 0 --out result.json

Training. Every channel is divided by its median and less its box mean over the whole image. Training pixels
are drawn class-balanced (see dataset.sample_pixels); floor(10 %) of them, at random, are held out. Patches
are turned by a random element of D4 each. He-normal weights, zero biases, batch normalisation with epsilon
1e-6 and momentum 0.9 (Keras), L2 1e-5 on the weights, cross-entropy, SGD with rate 0.01 * 0.95**epoch,
Nesterov momentum 0.9, decay 1e-6, batches of 256. After each epoch the loss on the held-out pixels (upright
patches, running statistics) is taken, and the weights of the smallest one are kept. float32, channels-last.

Epochs. With ``--epochs E``, an epoch is one pass over the shuffled training pixels. With ``--patches N``,
there are 10 epochs of floor(N / 10) patches each, read from an endless row of shuffled passes that goes on
from epoch to epoch. Either way the last batch of an epoch is smaller when the patches do not divide by 256
(left out only if it would hold a single patch), and the rate falls by 0.95 from epoch to epoch.

Scoring. The test image is predicted fully convolutionally (softmax; the border of ``window`` pixels has no
prediction and is cropped). ``interior > threshold``, 8-connected components, holes filled, then dropped by area,
eccentricity and solidity of the filled component. Reference cells are the 8-connected components of the
annotated interior within the same crop: ``score`` takes the interior eroded by the 5-pixel cross (nuclei,
cytoplasm; pixels beyond the crop count as inside), ``score_uneroded`` as annotated (bacteria, whose published
counts are made so). IoU >= 0.5, StarDist's matching. Prints JSON.
"""

from __future__ import annotations

import argparse
import copy
import json
import pathlib
import platform
import resource
import sys
import time

import numpy
import torch
import torch.nn.functional as functional

import dataset
import feature_net
import keras_sgd
import patches
import score

BUDGET_EPOCHS = 10
TILE = (256, 256)


class PixelStream:
    """An endless row of shuffled passes over the training pixels."""

    def __init__(self, pixels: numpy.ndarray, random: numpy.random.Generator):
        self.pixels, self.random = pixels, random
        self.order = numpy.empty(0, numpy.int64)

    def take(self, count: int) -> numpy.ndarray:
        while len(self.order) < count:
            self.order = numpy.concatenate([self.order, self.random.permutation(len(self.pixels))])
        chosen, self.order = self.order[:count], self.order[count:]
        return self.pixels[chosen]


def predict(net: feature_net.FeatureNet, image: numpy.ndarray) -> torch.Tensor:
    """Logits (K, H - field + 1, W - field + 1) of a normalised (C, H, W) image."""
    net.eval()
    with torch.inference_mode():
        return feature_net.predict_tiled(net.dense, torch.from_numpy(image), net.spec.field, TILE)


def held_out_loss(net, images: list[numpy.ndarray], pixels: numpy.ndarray) -> tuple[float, float]:
    """Mean cross-entropy and accuracy over the held-out pixels; dense prediction equals the patch form."""
    window, loss, right = net.spec.window, 0.0, 0
    for index, image in enumerate(images):
        mine = pixels[pixels[:, 0] == index]
        if len(mine):
            logits = predict(net, image)[:, mine[:, 1] - window, mine[:, 2] - window].T
            labels = torch.from_numpy(mine[:, 3])
            loss += float(functional.cross_entropy(logits, labels, reduction="sum"))
            right += int((logits.argmax(1) == labels).sum())
    return loss / len(pixels), right / len(pixels)


def train(net, images, pixels, held_out, arguments) -> tuple[list[dict], float]:
    """Trains in place and leaves the best weights in ``net``; returns the epochs and the seconds of training,
    which leave out the held-out losses."""
    random = numpy.random.default_rng((arguments.seed, 1))
    reader = patches.PatchReader(images, net.spec.field)
    optimizer = keras_sgd.KerasSGD(net.parameters(), net.weights())
    stream = PixelStream(pixels, random)
    if arguments.patches:
        epochs, per_epoch = BUDGET_EPOCHS, arguments.patches // BUDGET_EPOCHS
    else:
        epochs, per_epoch = arguments.epochs, len(pixels)
    history, best, best_weights, seconds = [], float("inf"), None, 0.0
    for epoch in range(epochs):
        optimizer.rate = 0.01 * 0.95**epoch
        started = time.perf_counter()
        net.train()
        taken = stream.take(per_epoch)
        seen, loss_sum = 0, 0.0
        for first in range(0, per_epoch, arguments.batch):
            chosen = taken[first : first + arguments.batch]
            if len(chosen) < 2:
                break
            x = reader.batch(chosen, random.integers(8, size=len(chosen)))
            logits = net(x)[:, :, 0, 0]
            loss = functional.cross_entropy(logits, torch.from_numpy(chosen[:, 3]))
            loss.backward()
            optimizer.step()
            seen += len(chosen)
            loss_sum += float(loss.detach()) * len(chosen)
        epoch_seconds = time.perf_counter() - started
        seconds += epoch_seconds
        loss, accuracy = held_out_loss(net, images, held_out)
        history.append(
            {
                "epoch": epoch,
                "patches": seen,
                "seconds": epoch_seconds,
                "training_loss": loss_sum / seen,
                "validation_loss": loss,
                "validation_accuracy": accuracy,
            }
        )
        print(json.dumps(history[-1]), file=sys.stderr, flush=True)
        if loss < best:
            best, best_weights = loss, copy.deepcopy(net.state_dict())
    if best_weights is None:
        raise ArithmeticError("the held-out loss was never a number: training diverged")
    net.load_state_dict(best_weights)
    return history, seconds


def evaluate(net, folder: pathlib.Path, arguments) -> tuple[dict, numpy.ndarray]:
    """Scores of one test folder and its class probabilities (K, h, w)."""
    window = net.spec.window
    started = time.perf_counter()
    image = dataset.read_normalized(folder, arguments.channels, window)
    probability = functional.softmax(predict(net, image), dim=0).numpy()
    cells = score.segment(
        probability[dataset.INTERIOR],
        arguments.threshold,
        arguments.minimum_area,
        arguments.minimum_eccentricity,
        arguments.maximum_eccentricity,
        arguments.minimum_solidity,
    )
    interior = dataset.read_annotation(folder, "interior")
    seconds = time.perf_counter() - started
    result = {
        "folder": folder.name,
        "seconds": seconds,
        "score": score.match(score.reference_cells(interior, window), cells),
        "score_uneroded": score.match(score.reference_cells(interior, window, erode=False), cells),
    }
    return result, probability


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", type=pathlib.Path, nargs="+", required=True, help="training folders")
    parser.add_argument("--test", type=pathlib.Path, nargs="*", default=[], help="folders to score")
    parser.add_argument("--net", choices=sorted(feature_net.SPECS), required=True)
    parser.add_argument("--channels", nargs="+", required=True, help="channel files without .tif, in order")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--epochs", type=int, default=25)
    length.add_argument("--patches", type=int, help="total number of patches seen, in 10 equal epochs")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--threshold", type=float, default=0.5)
    parser.add_argument("--minimum-area", type=int, default=0)
    parser.add_argument("--minimum-eccentricity", type=float, default=0.0)
    parser.add_argument("--maximum-eccentricity", type=float, default=1.0)
    parser.add_argument("--minimum-solidity", type=float, default=0.0)
    parser.add_argument("--out", type=pathlib.Path, help="also write the JSON to this file")
    parser.add_argument("--save-weights", type=pathlib.Path, help="write the best weights (torch.save)")
    parser.add_argument(
        "--save-probability", type=pathlib.Path, help="write FOLDER_probability.npy files here"
    )
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    wall = time.perf_counter()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    random = numpy.random.default_rng((arguments.seed, 0))

    spec = feature_net.SPECS[arguments.net]
    images = [dataset.read_normalized(f, arguments.channels, spec.window) for f in arguments.dataset]
    class_maps = [dataset.class_map(folder) for folder in arguments.dataset]
    pixels, limit = dataset.sample_pixels(class_maps, spec.window, random)
    pixels = pixels[random.permutation(len(pixels))]
    held_out, pixels = pixels[: len(pixels) // 10], pixels[len(pixels) // 10 :]

    net = feature_net.FeatureNet(spec, len(arguments.channels)).to(memory_format=torch.channels_last)
    history, seconds = train(net, images, pixels, held_out, arguments)
    if arguments.save_weights:
        torch.save(net.state_dict(), arguments.save_weights)

    tests = []
    for folder in arguments.test:
        result, probability = evaluate(net, folder, arguments)
        tests.append(result)
        if arguments.save_probability:
            arguments.save_probability.mkdir(parents=True, exist_ok=True)
            numpy.save(arguments.save_probability / f"{folder.name}_probability.npy", probability)

    seen = sum(epoch["patches"] for epoch in history)
    best = min(history, key=lambda epoch: epoch["validation_loss"])
    result = {
        "benchmark": "train_patch",
        "peer": "pytorch",
        "version": torch.__version__,
        "machine": platform.machine(),
        "threads": arguments.threads,
        "precision": "f32",
        "memory_format": "channels_last",
        "net": spec.name,
        "channels": arguments.channels,
        "seed": arguments.seed,
        "batch": arguments.batch,
        "pixels_per_class": limit,
        "training_pixels": len(pixels),
        "held_out_pixels": len(held_out),
        "patches_seen": seen,
        "epochs": history,
        "best_epoch": best["epoch"],
        "best_validation_loss": best["validation_loss"],
        "best_validation_accuracy": best["validation_accuracy"],
        "training_seconds": seconds,
        "patches_per_second": seen / seconds,
        "refinement": {
            "threshold": arguments.threshold,
            "minimum_area": arguments.minimum_area,
            "minimum_eccentricity": arguments.minimum_eccentricity,
            "maximum_eccentricity": arguments.maximum_eccentricity,
            "minimum_solidity": arguments.minimum_solidity,
        },
        "tests": tests,
        "wall_seconds": time.perf_counter() - wall,
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    text = json.dumps(result, indent=1)
    if arguments.out:
        arguments.out.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
