"""Patch training of the published nets in PyTorch on a GPU, to be run beside bench_gpu_train.

    python gpu_train.py --net bn_feature_net_31x31 --batch 256 --precision f32 --out train.json

One step gathers a batch of patches from a synthetic normalised 1280x1080 image on the device, turns each by a random
element of D4, and does the forward pass, the backward pass and the update. Every combination of mode (eager, compile,
graph) and format is tried; the fastest counts. ``graph`` replays one recorded step as a CUDA graph. Ends with status 4
where PyTorch sees no GPU.
"""

from __future__ import annotations

import argparse
import itertools
import json
import pathlib
import sys
import time

CHANNELS = {"bn_feature_net_31x31": 1, "bn_feature_net_61x61": 2}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", choices=sorted(CHANNELS), default="bn_feature_net_31x31")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--precision", choices=["f32", "tf32", "bf16"], default="f32", help="bf16: autocast")
    parser.add_argument("--modes", nargs="+", choices=["eager", "compile", "graph"], default=["eager", "compile", "graph"])
    parser.add_argument("--out", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    import torch
    import torch.nn.functional as functional

    import feature_net

    if not torch.cuda.is_available():
        print("gpu_train.py: PyTorch sees no GPU", file=sys.stderr)
        return 4
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = arguments.precision == "tf32"
    torch.backends.cudnn.benchmark = True
    spec, channels, batch = feature_net.SPECS[arguments.net], CHANNELS[arguments.net], arguments.batch
    rows, columns, field, window = 1080, 1280, spec.field, spec.window
    image = torch.randn(channels, rows, columns, device="cuda")
    span = torch.arange(-window, window + 1, device="cuda")

    def gather():
        """A batch of patches, each transposed and flipped by its own draw."""
        centre_row = torch.randint(window, rows - window, (batch, 1, 1), device="cuda")
        centre_column = torch.randint(window, columns - window, (batch, 1, 1), device="cuda")
        turn = torch.randint(0, 8, (batch, 1, 1), device="cuda")
        down, right = span.view(1, field, 1), span.view(1, 1, field)
        first = torch.where(turn % 2 == 1, right, down)
        second = torch.where(turn % 2 == 1, down, right)
        first = torch.where(turn // 2 % 2 == 1, -first, first)
        second = torch.where(turn // 4 == 1, -second, second)
        return image[:, centre_row + first, centre_column + second].transpose(0, 1)

    results = []
    for mode, layout in itertools.product(arguments.modes, ["channels_last", "contiguous_format"]):
        net = feature_net.FeatureNet(spec, channels).to("cuda", memory_format=getattr(torch, layout)).train()
        function = torch.compile(net, dynamic=False) if mode == "compile" else net
        optimizer = torch.optim.SGD(net.parameters(), 0.01, momentum=0.9, nesterov=True, weight_decay=2e-5, fused=True)
        autocast = torch.autocast("cuda", torch.bfloat16, enabled=arguments.precision == "bf16")

        def step(function=function, optimizer=optimizer, layout=layout):
            x = gather().contiguous(memory_format=getattr(torch, layout))
            classes = torch.randint(0, 3, (batch,), device="cuda")
            with autocast:
                logits = function(x)[:, :, 0, 0]
            functional.cross_entropy(logits.float(), classes).backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=False)

        configuration = {"mode": mode, "format": layout}
        try:
            run = step
            if mode == "graph":
                side = torch.cuda.Stream()
                side.wait_stream(torch.cuda.current_stream())
                with torch.cuda.stream(side):
                    for _ in range(5):
                        step()
                torch.cuda.current_stream().wait_stream(side)
                graph = torch.cuda.CUDAGraph()
                with torch.cuda.graph(graph):
                    step()
                run = graph.replay
            for _ in range(10):
                run()
            torch.cuda.synchronize()
            begin = time.perf_counter()
            for _ in range(arguments.steps):
                run()
            torch.cuda.synchronize()
            rate = batch * arguments.steps / (time.perf_counter() - begin)
            results.append({**configuration, "patches_per_second": rate})
        except RuntimeError as error:
            results.append({**configuration, "error": str(error).splitlines()[0]})
    worked = [each for each in results if "patches_per_second" in each]
    best = max(worked, key=lambda each: each["patches_per_second"], default=None)
    report = {"device": torch.cuda.get_device_name(), "torch": torch.__version__, "results": results, "best": best}
    arguments.out.write_text(json.dumps(report, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
