"""Whole-frame inference of the published nets in PyTorch: seconds per 1280x1080 frame and peak memory.

    python frame_inference.py --threads 2 --out frame.json

From a normalised frame in memory to the mean class probabilities of the nets at every pixel whose window lies
in the frame. Weights are random; batch normalisation is folded into the convolutions. Every combination of
``--modes``, ``--formats``, ``--forms`` and ``--tiles`` is one configuration, run in a process of its own with
one net; the fastest is then run with ``--ensemble`` nets. ``--isa avx2`` holds PyTorch, oneDNN, MKL and the
code that torch.compile makes to AVX2.

modes: ``eager``; ``compile``: torch.compile with the weights frozen into the code. formats: ``channels_last``,
``contiguous``. forms: ``dilated``, ``fragments`` (see feature_net). tiles: ROWSxCOLUMNS of output at most, cut to
equal parts; 0 stands for the whole extent. allocators: ``default``, or ``keep`` (as in train_speed).

JSON: ``results`` holds one entry per configuration with ``seconds_median`` or ``error``; ``best`` one entry per net
and number of nets.
"""

from __future__ import annotations

import argparse
import itertools
import json
import pathlib
import time

import measure

CHANNELS = {"bn_feature_net_31x31": 1, "bn_feature_net_61x61": 2}


def child(configuration: dict) -> None:
    """Measures one configuration and prints its JSON."""
    if configuration["allocator"] == "keep":
        measure.keep_freed_memory()
    import torch

    import feature_net

    torch.set_num_threads(configuration["threads"])
    torch.manual_seed(0)
    spec = feature_net.SPECS[configuration["net"]]
    layouts = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}
    layout = layouts[configuration["format"]]

    class Ensemble(torch.nn.Module):
        """Mean of the nets' class probabilities."""

        def __init__(self):
            super().__init__()
            self.nets = torch.nn.ModuleList(
                feature_net.FoldedNet(
                    feature_net.FeatureNet(spec, configuration["channels"]), configuration["form"]
                )
                for _ in range(configuration["nets"])
            )

        def forward(self, x):
            total = self.nets[0](x)
            for net in self.nets[1:]:
                total = total + net(x)
            return total / len(self.nets)

    ensemble = Ensemble().eval().to(memory_format=layout)
    multiple = 2 ** spec.pools if configuration["form"] == "fragments" else 1
    rows, columns = configuration["rows"], configuration["columns"]
    tile = [limit or extent for limit, extent in zip(configuration["tile"], (rows, columns), strict=True)]
    frame = torch.randn(configuration["channels"], rows, columns)
    function = ensemble
    if configuration["mode"] == "compile":
        import torch._inductor.config as inductor

        inductor.freezing = True
        if torch.backends.cpu.get_cpu_capability() == "AVX2":
            inductor.cpp.simdlen = 256
        function = torch.compile(ensemble, dynamic=False)

    def run():
        return feature_net.predict_tiled(function, frame, spec.field, tile, multiple, layout)

    precision = torch.autocast("cpu", torch.bfloat16, enabled=configuration["precision"] == "bf16")
    with torch.inference_mode(), precision:
        started = time.perf_counter()
        run()
        warm_up = time.perf_counter() - started
        result = measure.timings(run, configuration["repeats"])
    result |= {
        "first_seconds": warm_up,
        "peak_rss_bytes": measure.peak_rss_bytes(),
        "version": torch.__version__,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
    }
    print(json.dumps(result))


def parse_tile(text: str) -> list[int]:
    rows, _, columns = text.partition("x")
    return [int(rows), int(columns or rows)]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--nets", nargs="+", choices=sorted(CHANNELS), default=sorted(CHANNELS))
    parser.add_argument("--ensemble", type=int, nargs="*", default=[5], help="numbers of nets beside 1")
    parser.add_argument("--modes", nargs="+", choices=("eager", "compile"), default=["eager", "compile"])
    parser.add_argument(
        "--formats", nargs="+", choices=("channels_last", "contiguous"), default=["channels_last"]
    )
    parser.add_argument(
        "--forms", nargs="+", choices=("dilated", "fragments"), default=["dilated", "fragments"]
    )
    parser.add_argument("--tiles", nargs="+", type=parse_tile, default=[[128, 128], [192, 192]])
    parser.add_argument("--allocators", nargs="+", choices=("default", "keep"), default=["default"])
    parser.add_argument("--precision", choices=("f32", "bf16"), default="f32", help="bf16: autocast")
    parser.add_argument("--isa", choices=sorted(measure.ISA_ENVIRONMENT), default="native")
    parser.add_argument("--rows", type=int, default=1080)
    parser.add_argument("--columns", type=int, default=1280)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
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
    for net in arguments.nets:
        candidates = []
        for mode, layout, form, tile, allocator in itertools.product(
            arguments.modes, arguments.formats, arguments.forms, arguments.tiles, arguments.allocators
        ):
            configuration = {
                "net": net,
                "channels": CHANNELS[net],
                "nets": 1,
                "mode": mode,
                "format": layout,
                "form": form,
                "tile": tile,
                "allocator": allocator,
                "precision": arguments.precision,
                "threads": arguments.threads,
                "rows": arguments.rows,
                "columns": arguments.columns,
                "repeats": arguments.repeats,
            }
            candidates.append(measure.run_child(__file__, configuration, arguments.isa, arguments.timeout))
        results += candidates
        worked = [candidate for candidate in candidates if "error" not in candidate]
        if not worked:
            continue
        fastest = min(worked, key=lambda candidate: candidate["seconds_median"])
        best.append(fastest)
        for count in arguments.ensemble:
            configuration = {key: fastest[key] for key in configuration} | {"nets": count}
            result = measure.run_child(__file__, configuration, arguments.isa, arguments.timeout)
            results.append(result)
            if "error" not in result:
                best.append(result)
    report = {
        "benchmark": "frame_inference",
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
