"""septum's assignment solvers beside lapx and scipy, on the same matrices in one run.

    python benchmarks/peers/assignment.py --program build/release/bin/bench_assignment --out lap.json

Needs numpy, scipy and lapx. Dense problems: uniform costs, and squared distances between points that moved a little
("track"), one in twenty of which is new ("track-new"). Sparse: rows with ten random candidates each, every row able to
stay unassigned (scipy gets a column of its own for that, up to --scipy-rows: it takes minutes beyond). Both wall
time and processor time are given; lapx and scipy use one thread, and so does septum.
"""

from __future__ import annotations

import argparse
import itertools
import json
import pathlib
import subprocess
import tempfile
import time

import lap
import numpy as np
import scipy
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching


def dense_problems(n: int, rng: np.random.Generator):
    yield "uniform", rng.random((n, n))
    side = 10 * np.sqrt(n)
    before = rng.random((n, 2)) * side
    after = before + rng.normal(0, 2, (n, 2))
    after = after[rng.permutation(n)]
    yield "track", ((before[:, None] - after[None]) ** 2).sum(-1)
    after[: n // 20] = rng.random((n // 20, 2)) * side
    yield "track-new", ((before[:, None] - after[None]) ** 2).sum(-1)


def timed(function, repeats: int) -> dict:
    """Fastest wall time and mean processor time of some calls, and the last result."""
    fastest, used = np.inf, 0.0
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        result = function()
        used += time.process_time() - cpu
        fastest = min(fastest, time.perf_counter() - wall)
    return {"fastest": fastest, "cpu_seconds": used / repeats, "result": result}


def without_result(timing: dict) -> dict:
    return {key: value for key, value in timing.items() if key != "result"}


def septum(program: pathlib.Path, *options) -> dict:
    command = [str(program), *map(str, options)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def compare_dense(program, folder, sizes, repeats):
    rng = np.random.default_rng(1)
    for n in sizes:
        for name, costs in dense_problems(n, rng):
            file = folder / "dense.f64"
            costs.tofile(file)
            ours = septum(program, "dense", file, *costs.shape)
            by_scipy = timed(lambda: linear_sum_assignment(costs), repeats)
            by_lapx = timed(lambda: lap.lapjv(costs), 1 if name == "track-new" else repeats)
            rows, columns = by_scipy["result"]
            yield {
                "problem": f"{name} {n}",
                "septum": ours,
                "scipy": without_result(by_scipy),
                "lapx": without_result(by_lapx),
                "cost_scipy": costs[rows, columns].sum(),
            }


def compare_sparse(program, folder, sizes, prices, repeats, scipy_rows):
    rng = np.random.default_rng(2)
    for n in sizes:
        columns = rng.integers(0, n, (n, 10)).astype(np.int32)
        costs = rng.random((n, 10)) + 1e-9
        begin = np.arange(0, 10 * n + 1, 10, dtype=np.int64)
        file = folder / "sparse.bin"
        file.write_bytes(begin.tobytes() + columns.tobytes() + costs.tobytes())
        for price in prices:
            result = {
                "problem": f"sparse {n}, staying alone costs {price:g}",
                "septum": septum(program, "sparse", file, n, n, price),
            }
            if n > scipy_rows:
                yield result
                continue
            rows = np.repeat(np.arange(n), 10)
            # Duplicate pairs would be added up by scipy: the cheapest one counts.
            order = np.lexsort((costs.ravel(), columns.ravel(), rows))
            key = rows[order].astype(np.int64) * n + columns.ravel()[order]
            first = order[np.concatenate([[True], key[1:] != key[:-1]])]
            graph = csr_array(
                (
                    np.concatenate([costs.ravel()[first], np.full(n, price)]),
                    (
                        np.concatenate([rows[first], np.arange(n)]),
                        np.concatenate([columns.ravel()[first], n + np.arange(n)]),
                    ),
                ),
                shape=(n, 2 * n),
            )
            by_scipy = timed(lambda: min_weight_full_bipartite_matching(graph), repeats)
            i, j = by_scipy["result"]
            yield result | {"scipy": without_result(by_scipy), "cost_scipy": graph[i, j].sum()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=lambda path: pathlib.Path(path).resolve(), required=True)
    parser.add_argument("--out", type=pathlib.Path)
    parser.add_argument("--sizes", type=int, nargs="*", default=[1000, 3000])
    parser.add_argument("--sparse-sizes", type=int, nargs="*", default=[10_000, 100_000])
    parser.add_argument("--prices", type=float, nargs="*", default=[1.0, 1000.0])
    parser.add_argument("--scipy-rows", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for result in itertools.chain(
            compare_dense(arguments.program, folder, arguments.sizes, arguments.repeats),
            compare_sparse(arguments.program, folder, arguments.sparse_sizes, arguments.prices, 1, arguments.scipy_rows),
        ):
            results.append(result)
            times = {
                k: f"{v['fastest'] * 1e3:.1f} (cpu {v['cpu_seconds'] * 1e3:.1f})"
                for k, v in result.items()
                if isinstance(v, dict)
            }
            peak = result["septum"]["peak_bytes"] / 1e6
            print(
                f"{result['problem']}: ms {times}, septum's peak {peak:.0f} MB,",
                f"cost {result['septum']['cost']} {result.get('cost_scipy', '')}",
                flush=True,
            )
    if arguments.out:
        report = {"lapx": lap.__version__, "scipy": scipy.__version__, "results": results}
        arguments.out.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
