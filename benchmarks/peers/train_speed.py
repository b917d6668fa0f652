"""Training of the published nets in PyTorch: patches, or outputs of crops, per second.

    python train_speed.py --threads 2 --out train.json

One step cuts a batch of patches out of a synthetic normalised 1280x1080 image, turns each by a random element
of D4, and does the forward pass, the backward pass and the update of train_patch.py. With ``--crop SIDE`` (dense
training) a batch has that many crops of SIDE x SIDE labelled pixels instead, through the dilated form of the net.
Every combination of ``--cases``, ``--modes`` and ``--formats`` is one configuration, run in a process of its own. modes: ``eager``, ``compile``
(torch.compile of forward and backward). formats: ``channels_last``, ``contiguous`` (PyTorch's default).
allocators: ``default``; ``keep``, where glibc's allocator keeps freed memory, which spares page faults.

JSON: ``results`` holds one entry per configuration with ``patches_per_second`` (from the median step) or
``error``; ``best`` the fastest of each net and batch.
"""

from __future__ import annotations

import argparse
import itertools
import json
import pathlib
import time

import measure

CHANNELS = {"bn_feature_net_31x31": 1, "bn_feature_net_61x61": 2}
CASES = ["bn_feature_net_31x31:256", "bn_feature_net_61x61:64", "bn_feature_net_61x61:256"]


def child(configuration: dict) -> None:
    """Measures one configuration and prints its JSON."""
    if configuration["allocator"] == "keep":
        measure.keep_freed_memory()
    import numpy
    import torch
    import torch.nn.functional as functional

    import feature_net
    import keras_sgd
    import patches

    torch.set_num_threads(configuration["threads"])
    torch.manual_seed(0)
    random = numpy.random.default_rng(0)
    spec, batch = feature_net.SPECS[configuration["net"]], configuration["batch"]
    layouts = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}
    layout = layouts[configuration["format"]]
    net = feature_net.FeatureNet(spec, configuration["channels"]).to(memory_format=layout).train()
    side = configuration["crop"]
    passes = net.dense if side else net
    function = torch.compile(passes, dynamic=False) if configuration["mode"] == "compile" else passes
    optimizer = keras_sgd.KerasSGD(net.parameters(), net.weights())
    rows, columns = 1080, 1280
    image = random.standard_normal((configuration["channels"], rows, columns), dtype=numpy.float32)
    reader = patches.PatchReader([image], spec.field)
    precision = torch.autocast("cpu", torch.bfloat16, enabled=configuration["precision"] == "bf16")

    def crops():
        extent = side + spec.field - 1
        for _ in range(batch):
            r, c = random.integers(rows - extent), random.integers(columns - extent)
            turned = numpy.rot90(image[:, r : r + extent, c : c + extent], random.integers(4), (1, 2))
            yield turned[:, :, ::-1] if random.integers(2) else turned

    labels = torch.from_numpy(random.integers(3, size=(batch, side, side)))

    def dense_step():
        x = torch.from_numpy(numpy.stack(list(crops()))).contiguous(memory_format=layout)
        with precision:
            logits = function(x)
        functional.cross_entropy(logits.float(), labels).backward()
        optimizer.step()

    def patch_step():
        pixels = numpy.zeros((batch, 4), numpy.int64)
        pixels[:, 1] = random.integers(spec.window, rows - spec.window, batch)
        pixels[:, 2] = random.integers(spec.window, columns - spec.window, batch)
        pixels[:, 3] = random.integers(3, size=batch)
        x = reader.batch(pixels, random.integers(8, size=batch)).contiguous(memory_format=layout)
        with precision:
            logits = function(x)[:, :, 0, 0]
        functional.cross_entropy(logits.float(), torch.from_numpy(pixels[:, 3])).backward()
        optimizer.step()

    step = dense_step if side else patch_step
    outputs = batch * max(side, 1) ** 2
    started = time.perf_counter()
    step()
    warm_up = time.perf_counter() - started
    result = measure.timings(step, 2)
    steps = max(3, round(configuration["seconds"] / result["seconds_minimum"]))
    result = measure.timings(step, steps)
    del result["seconds"]
    result |= {
        "steps": steps,
        "patches_per_second": outputs / result["seconds_median"],
        "patches_per_second_maximum": outputs / result["seconds_minimum"],
        "first_seconds": warm_up,
        "peak_rss_bytes": measure.peak_rss_bytes(),
        "version": torch.__version__,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
    }
    print(json.dumps(result))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--cases", nargs="+", default=CASES, help="NET:BATCH")
    parser.add_argument("--crop", type=int, default=0, help="labelled pixels per side of a crop; 0: patches")
    parser.add_argument("--modes", nargs="+", choices=("eager", "compile"), default=["eager", "compile"])
    parser.add_argument(
        "--formats",
        nargs="+",
        choices=("channels_last", "contiguous"),
        default=["channels_last", "contiguous"],
    )
    parser.add_argument("--allocators", nargs="+", choices=("default", "keep"), default=["default", "keep"])
    parser.add_argument("--precision", choices=("f32", "bf16"), default="f32", help="bf16: autocast")
    parser.add_argument("--isa", choices=sorted(measure.ISA_ENVIRONMENT), default="native")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=10, help="time to measure each configuration")
    parser.add_argument("--timeout", type=float, default=600, help="seconds per configuration")
    parser.add_argument("--out", type=pathlib.Path, help="also write the JSON to this file")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    if arguments.child:
        child(json.loads(arguments.child))
        return
    machine = measure.machine()
    results, best = [], []
    for case in arguments.cases:
        net, _, batch = case.partition(":")
        candidates = []
        for mode, layout, allocator in itertools.product(
            arguments.modes, arguments.formats, arguments.allocators
        ):
            configuration = {
                "net": net,
                "channels": CHANNELS[net],
                "batch": int(batch),
                "crop": arguments.crop,
                "mode": mode,
                "format": layout,
                "allocator": allocator,
                "precision": arguments.precision,
                "threads": arguments.threads,
                "seconds": arguments.seconds,
            }
            candidates.append(measure.run_child(__file__, configuration, arguments.isa, arguments.timeout))
        results += candidates
        worked = [candidate for candidate in candidates if "error" not in candidate]
        if worked:
            best.append(max(worked, key=lambda candidate: candidate["patches_per_second"]))
    report = {
        "benchmark": "train_speed",
        "peer": "pytorch",
        "isa": arguments.isa,
        "precision": arguments.precision,
        "threads": arguments.threads,
        "machine": machine,
        "best": best,
        "results": results,
    }
    text = json.dumps(report, indent=1)
    if arguments.out:
        arguments.out.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
