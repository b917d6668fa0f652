"""What the two speed programs share: one process per configuration, the machine's name, the clock.

A parent runs every configuration in a fresh interpreter, so that peak memory, compiled code and environment
variables (the instruction-set cap, the allocator) belong to that configuration alone. Nothing here imports
PyTorch, whose instruction sets are fixed when it is imported.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time

ISA_ENVIRONMENT = {
    "native": {},
    "avx2": {
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    },
}


def run_child(program: str, configuration: dict, isa: str, timeout: float) -> dict:
    """Runs ``program --child CONFIGURATION`` and returns its JSON with the configuration, or the error."""
    command = [sys.executable, "-W", "ignore", program, "--child", json.dumps(configuration)]
    try:
        done = subprocess.run(
            command,
            env=os.environ | ISA_ENVIRONMENT[isa],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return configuration | {"error": f"took more than {timeout:g} s"}
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()
        return configuration | {"error": lines[-1] if lines else f"exit status {done.returncode}"}
    return configuration | json.loads(done.stdout.splitlines()[-1])


def keep_freed_memory() -> None:
    """Tells glibc's allocator never to map big blocks nor to give memory back, which saves page faults."""
    libc = ctypes.CDLL(None)
    m_trim_threshold, m_mmap_max = -1, -4
    libc.mallopt(m_mmap_max, 0)
    libc.mallopt(m_trim_threshold, 2**31 - 1)


def timings(function, repeats: int) -> dict:
    """Seconds of each of ``repeats`` calls, and their median and minimum."""
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - started)
    return {
        "seconds": seconds,
        "seconds_median": statistics.median(seconds),
        "seconds_minimum": min(seconds),
    }


def peak_rss_bytes() -> int:
    """Largest resident set of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def machine() -> dict:
    """The processor's name and the number of logical processors this process may use."""
    name = platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            name = next((line.split(":", 1)[1].strip() for line in lines if "model name" in line), name)
    except OSError:
        pass
    return {"processor": name, "processors": len(os.sched_getaffinity(0)), "load_average": os.getloadavg()[0]}
