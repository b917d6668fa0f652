"""Whole-frame inference of the published nets in PyTorch on a GPU, to be run beside bench_gpu.

    python gpu.py --net bn_feature_net_31x31 --nets 5 --precision f32 --out gpu.json

From a normalised frame in memory to the mean class probabilities in memory. Every combination of mode (eager,
compile), format and form is tried with as large a frame as fits; the fastest counts. Ends with status 4 where
PyTorch sees no GPU.
"""

from __future__ import annotations

import argparse
import itertools
import json
import pathlib
import statistics
import sys
import time

CHANNELS = {"bn_feature_net_31x31": 1, "bn_feature_net_61x61": 2}


def seconds_of(function, frame, repeats: int) -> list[float]:
    import torch

    taken = []
    for repeat in range(repeats + 3):
        torch.cuda.synchronize()
        begin = time.perf_counter()
        function(frame.cuda(non_blocking=True)).cpu()
        torch.cuda.synchronize()
        if repeat >= 3:
            taken.append(time.perf_counter() - begin)
    return taken


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--net", choices=sorted(CHANNELS), default="bn_feature_net_31x31")
    parser.add_argument("--nets", type=int, default=5)
    parser.add_argument("--precision", choices=["f32", "tf32", "bf16", "f16"], default="f32")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--modes", nargs="+", choices=["eager", "compile"], default=["eager", "compile"])
    layouts, forms = ["channels_last", "contiguous_format"], ["dilated", "fragments"]
    parser.add_argument("--formats", nargs="+", choices=layouts, default=layouts)
    parser.add_argument("--forms", nargs="+", choices=forms, default=forms)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    import torch

    import feature_net

    if not torch.cuda.is_available():
        print("gpu.py: PyTorch sees no GPU", file=sys.stderr)
        return 4
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = arguments.precision == "tf32"
    torch.backends.cudnn.benchmark = True
    kind = {"bf16": torch.bfloat16, "f16": torch.float16}.get(arguments.precision, torch.float32)
    spec = feature_net.SPECS[arguments.net]
    frame = torch.randn(1, CHANNELS[arguments.net], 1080, 1280).pin_memory()
    results = []
    for mode, layout, form in itertools.product(arguments.modes, arguments.formats, arguments.forms):
        nets = [
            feature_net.FoldedNet(feature_net.FeatureNet(spec, CHANNELS[arguments.net]), form)
            .eval()
            .to("cuda", kind, memory_format=getattr(torch, layout))
            for _ in range(arguments.nets)
        ]

        def ensemble(x, nets=nets):
            x = x.to(kind)
            return sum(net(x).float() for net in nets) / len(nets)

        function = torch.compile(ensemble) if mode == "compile" else ensemble
        configuration = {"mode": mode, "format": layout, "form": form}
        try:
            with torch.inference_mode():
                taken = seconds_of(function, frame, arguments.repeats)
            results.append({**configuration, "seconds_median": statistics.median(taken)})
        except RuntimeError as error:  # out of memory, or a shape that a form does not take
            results.append({**configuration, "error": str(error).splitlines()[0]})
        del nets
        torch.cuda.empty_cache()
    worked = [each for each in results if "seconds_median" in each]
    best = min(worked, key=lambda each: each["seconds_median"], default=None)
    report = {"device": torch.cuda.get_device_name(), "torch": torch.__version__, "results": results, "best": best}
    arguments.out.write_text(json.dumps(report, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
