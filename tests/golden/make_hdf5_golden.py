"""Writes hdf5_golden.inc: small HDF5 files made by h5py, and what h5py reads back from one of them.

Run by hand (python3 make_hdf5_golden.py, with numpy and h5py 3.16); the result is committed, so the
tests need no Python.
"""

import pathlib
import tempfile

import h5py
import numpy as np

OUT = pathlib.Path(__file__).with_name("hdf5_golden.inc")
HEADER = f"""// Written by make_hdf5_golden.py with h5py {h5py.__version__}.
#pragma once
#include <cstddef>
#include <string_view>

/// Bytes of a file from `offset` on, in hexadecimal; the first piece of a file gives its size.
struct golden_piece {{
  std::size_t offset;
  std::string_view bytes;
}};
"""
lines = []


def put_file(name, make, **how):
    """The bytes of a file, zeros left out: its size, then pieces of (offset, hexadecimal)."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "file.h5"
        with h5py.File(path, "w", **how) as file:
            make(file)
        data = path.read_bytes()
    lines.append(f"inline constexpr golden_piece {name}[] = {{")
    lines.append(f'    {{{len(data)}, ""}},')
    for start in range(0, len(data), 40):
        piece = data[start : start + 40]
        if any(piece):
            lines.append(f'    {{{start}, "{piece.rstrip(bytes(1)).hex()}"}},')
    lines.append("};")


def weights(file):
    rng = np.random.default_rng(1)
    names = [f"layer_{k}" for k in range(12)]
    file.attrs["layer_names"] = np.array([name.encode() for name in names])
    file.attrs["keras_version"] = "1.0.7"
    file.attrs["epoch"] = np.int64(3)
    for k, name in enumerate(names):
        group = file.create_group(name)
        group.attrs["weight_names"] = np.array([f"{name}_W".encode()]) if k % 2 else np.zeros(0)
        if k % 2:
            group[f"{name}_W"] = rng.standard_normal((k, 2)).astype(np.float32)


def deep(file):
    group = file
    for k in range(20):
        group = group.create_group("g")
    group["x"] = np.zeros(2, np.float32)


def hard_link(file):
    file.create_group("a")
    file["b"] = file["a"]


def cycle(file):
    file.create_group("a")["up"] = file["/"]


def external_data(file):
    file.create_dataset("x", (4,), np.float32, external=[("/etc/passwd", 0, 16)])


def soft_link(file):
    file["x"] = h5py.SoftLink("/y")


def external_link(file):
    file["x"] = h5py.ExternalLink("other.h5", "/y")


def virtual(file):
    layout = h5py.VirtualLayout((4,), np.float32)
    layout[:] = h5py.VirtualSource("other.h5", "x", (4,))
    file.create_virtual_dataset("x", layout)


def put_values():
    """What h5py reads from the datasets of the first file, in the order of their names."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "file.h5"
        with h5py.File(path, "w") as file:
            weights(file)
        with h5py.File(path) as file:
            lines.append("inline constexpr float weights_h5_values[] = {")
            for name in sorted(file):
                for data in file[name].values():
                    text = ", ".join(f"{np.float32(v)!s}F" for v in data[()].ravel())
                    lines.append(f"    {text},")
            lines.append("};")


put_file("weights_h5", weights)
put_values()
put_file("deep_h5", deep)
put_file("hard_link_h5", hard_link)
put_file("cycle_h5", cycle)
put_file("soft_link_h5", soft_link)
put_file("external_link_h5", external_link)
put_file("external_data_h5", external_data)
put_file("virtual_h5", virtual, libver="latest")
put_file("newer_groups_h5", lambda file: file.create_group("a"), libver="latest")
put_file("chunked_h5", lambda file: file.create_dataset("x", data=np.ones(8, np.float32), chunks=(4,)))
put_file("filtered_h5", lambda file: file.create_dataset("x", data=np.ones(64, np.float32), compression=9))
put_file("double_h5", lambda file: file.create_dataset("x", data=np.ones(4)))
put_file("big_endian_h5", lambda file: file.create_dataset("x", data=np.ones(4, ">f4")))
OUT.write_text(HEADER + "\n".join(lines) + "\n")
