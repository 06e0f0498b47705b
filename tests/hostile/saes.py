"""Fuzz of the SAE readers: real files of every format with broken bytes, configs, headers and tensors."""

import io
import json
import pickle
import random
import shutil
import struct
import zipfile
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save

from mistudio.sae.load import load_sae
from tests.hostile.mutations import broken_bytes, broken_json, json_bytes, value
from tests.sae import layouts


class SAEs:
    """One real SAE of each layout, and a place where broken copies of it are read."""

    def __init__(self, folder: Path):
        self.place, self.marker = folder / "case", folder / "marker"
        self.real: list[tuple[str, dict[str, bytes]]] = []
        for build in layouts.LAYOUTS:
            root = folder / "real" / build.__name__
            _acts, _decode, *rest = build(root)
            start = rest[0] if rest else root
            base = start if start.is_dir() else start.parent
            files = {path.relative_to(root).as_posix(): path.read_bytes()
                     for path in sorted(base.rglob("*")) if path.is_file()}
            self.real.append((start.relative_to(root).as_posix(), files))

    def attempt(self, by: random.Random) -> None:
        """Read one broken SAE, and run it if it can be read."""
        name, files = by.choice(self.real)
        files = dict(files)
        for path in by.sample(list(files), min(by.choice((1, 1, 2)), len(files))):
            files[path] = self.broken(by, path, files[path])
        shutil.rmtree(self.place, ignore_errors=True)
        for path, data in files.items():
            (self.place / path).parent.mkdir(parents=True, exist_ok=True)
            (self.place / path).write_bytes(data)
        try:
            sae = load_sae(str(self.place / name))
            acts = sae.encode(torch.zeros(2, sae.d_in))
            assert acts.shape == (2, sae.d_sae)
            sae.decode(acts, torch.zeros(2, sae.d_in))
        finally:
            assert not self.marker.exists(), "pickled code was run"

    def broken(self, by: random.Random, path: str, data: bytes) -> bytes:
        if path.endswith(".json"):
            return json_bytes(by, broken_json(by, json.loads(data))) if by.random() < 0.8 else broken_bytes(by, data)
        if by.random() < 0.3:
            return broken_bytes(by, data)
        if path.endswith(".safetensors"):
            return _safetensors(by, data)
        return _npz(by, data) if path.endswith(".npz") else self._torch(by, data)

    def _torch(self, by: random.Random, data: bytes) -> bytes:
        found = torch.load(io.BytesIO(data), weights_only=True)
        name = by.choice(list(found))
        kind = by.randrange(8)
        if kind == 0:
            return pickle.dumps(_Runs(self.marker))
        if kind == 1:
            found[name] = _Runs(self.marker)
        elif kind == 2:
            # A view of one number that says it is a matrix of terabytes.
            found[name] = torch.zeros(1).expand(by.choice((20, 2**20)), by.choice((6, 2**20)))
        elif kind == 3:
            found[by.choice((name, "k"))] = value(by)
        elif kind == 4:
            return _saved(by, value(by))
        else:
            found[name] = _tensor(by, found[name])
        return _saved(by, found)


class _Runs:
    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


def _saved(by: random.Random, found: object) -> bytes:
    out = io.BytesIO()
    torch.save(found, out, _use_new_zipfile_serialization=by.random() < 0.7)
    if by.random() < 0.2:
        return _packed(out.getvalue())
    return out.getvalue()


def _packed(data: bytes) -> bytes:
    """The same archive with its parts compressed, where it is one."""
    out = io.BytesIO()
    if not zipfile.is_zipfile(io.BytesIO(data)):
        return data
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for member in old.namelist():
            new.writestr(member, old.read(member))
    return out.getvalue()


def _tensor(by: random.Random, found: torch.Tensor) -> torch.Tensor:
    kind = by.randrange(9)
    if kind == 0:
        return found.to(by.choice((torch.int64, torch.bool, torch.float64, torch.bfloat16, torch.complex64,
                                   torch.float8_e4m3fn, torch.uint8)))
    if kind == 1:
        return torch.zeros(by.choice(((0,), (0, 6), (6, 0), (1,), (1, 1, 1), (20, 6, 1), ())))
    if kind == 2:
        return found.T.contiguous() if found.dim() == 2 else found[None]
    if kind == 3:
        return found.to_sparse() if found.is_floating_point() and found.dim() else found
    if kind == 4:
        return torch.empty(found.shape, device="meta")
    if kind == 5:
        return torch.full(found.shape, by.choice((float("nan"), float("inf"), 3e38, 0.0)))
    if kind == 6:
        return found.flatten()[:1]
    if kind == 7 and found.is_floating_point():
        return torch.quantize_per_tensor(found.float(), 0.1, 0, torch.qint8)
    return found[..., :-1] if found.dim() else found[None, None]


def _safetensors(by: random.Random, data: bytes) -> bytes:
    """With another header, or other tensors."""
    size = struct.unpack("<Q", data[:8])[0]
    if by.random() < 0.6:
        header = json_bytes(by, broken_json(by, json.loads(data[8:8 + size])))
        claimed = by.choice((len(header), len(header), len(header), len(header) + 8, 2**63, 2**32, 0))
        return struct.pack("<Q", claimed) + header + data[8 + size:]
    found = _read(data)
    name = by.choice(list(found))
    changed = _tensor(by, found[name])
    if changed.is_sparse or changed.is_quantized or changed.device.type == "meta":
        found.pop(name)
    else:
        found[name] = changed.contiguous()
    return save(found)


def _read(data: bytes) -> dict[str, torch.Tensor]:
    from safetensors.torch import load

    return load(data)


def _npz(by: random.Random, data: bytes) -> bytes:
    with np.load(io.BytesIO(data)) as arrays:
        found = {name: arrays[name] for name in arrays.files}
    name = by.choice(list(found))
    kind = by.randrange(6)
    out = io.BytesIO()
    if kind == 0:
        found[name] = np.array([{"an": "object"}, None], dtype=object)
    elif kind == 1:
        found[name] = found[name].astype(by.choice(("<i8", "?", "<f2", ">f4", "<c8", "S4", "<U3", "datetime64[s]")))
    elif kind == 2:
        found[name] = np.zeros(by.choice(((0,), (6, 0), (1,), (), (2, 3, 4))), dtype=np.float32)
    elif kind == 3:
        found[name] = np.zeros(3, dtype=[("a", "<f4"), ("b", "O")])
    elif kind == 4:
        found.pop(name)
    np.savez(out, allow_pickle=True, **found)
    if kind == 5:
        return _claiming(by, out.getvalue(), f"{name}.npy")
    return _packed(out.getvalue()) if by.random() < 0.3 else out.getvalue()


def _claiming(by: random.Random, data: bytes, wanted: str) -> bytes:
    """An array whose header promises far more than there is."""
    out = io.BytesIO()
    shape = by.choice(("(1000000, 1000000)", "(9223372036854775807,)", "(-1,)", "(2, 3.5)", "x", "()", "(" * 500))
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        for member in old.namelist():
            held = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + b"\0" * 64
            new.writestr(member, held if member == wanted else old.read(member))
    return out.getvalue()


