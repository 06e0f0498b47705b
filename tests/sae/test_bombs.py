"""Files that promise, or unpack to, far more than they hold cost no memory; configs of any shape are refused."""

import json
import resource
import struct
import zipfile

import numpy as np
import pytest
import torch

from mistudio.errors import SAEError
from mistudio.sae.load import load_sae
from tests.sae.layouts import config, gemma_scope, plain, saelens


def refused(place, says):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(SAEError, match=says) as caught:
        load_sae(str(place))
    assert caught.value.hint and len(caught.value.message) < 500
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000, "kB of memory that it took"


def test_an_archive_that_grows_without_bound_is_not_unpacked(tmp_path):
    with (zipfile.ZipFile(tmp_path / "params.npz", "w", zipfile.ZIP_DEFLATED) as archive,
          archive.open("W_enc.npy", "w", force_zip64=True) as file):
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (1 << 28,)})
        for _part in range(1 << 8):
            file.write(bytes(1 << 22))
    assert (tmp_path / "params.npz").stat().st_size < 2 << 20
    refused(tmp_path, "grows to 1,024 MiB when it is unpacked")


def test_a_torch_file_that_grows_without_bound_is_not_unpacked(tmp_path):
    torch.save({"W_enc": torch.zeros(1 << 24)}, tmp_path / "real.bin")
    with zipfile.ZipFile(tmp_path / "real.bin") as old, zipfile.ZipFile(
            tmp_path / "sae.pt", "w", zipfile.ZIP_DEFLATED) as new:
        for member in old.namelist():
            new.writestr(member, old.read(member))
    (tmp_path / "real.bin").unlink()
    refused(tmp_path / "sae.pt", "grows to 64 MiB")


@pytest.mark.parametrize("shape", ["(1000000, 1000000)", "(9223372036854775807,)", "(-5,)"])
def test_an_array_that_promises_more_than_there_is_is_refused(tmp_path, shape):
    _acts, _decode, folder, _hook_point = gemma_scope(tmp_path)
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    with zipfile.ZipFile(folder / "params.npz", "w") as archive:
        archive.writestr("W_enc.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
    refused(folder, "said to be larger than it is")


def test_one_number_that_is_shown_as_a_matrix_of_terabytes_is_no_tensor(tmp_path):
    torch.save({"W_enc": torch.zeros(1).expand(1 << 20, 1 << 20)}, tmp_path / "sae.pt")
    refused(tmp_path / "sae.pt", "lacks the tensor 'W_enc'")


@pytest.mark.parametrize("header", [b"", b"{", b"[" * 5000, b'{"W_enc": {"dtype": "F32", "shape": [99999999999], '
                                    b'"data_offsets": [0, 399999999996]}}'])
@pytest.mark.parametrize("claimed", [None, 1 << 40, 2**64 - 1])
def test_safetensors_with_another_header_are_refused(tmp_path, header, claimed):
    plain(tmp_path)
    data = struct.pack("<Q", len(header) if claimed is None else claimed) + header
    (tmp_path / "sae.safetensors").write_bytes(data)
    refused(tmp_path, "cannot be read")


@pytest.mark.parametrize(("text", "says"), [
    ("[" * 100_000, "cannot be read"), ("[]", "no JSON object"), ("\xff", "cannot be read"),
    (" " * (17 << 20), "longer than 16 MiB"), ('{"d_in": ' + "9" * 5000 + "}", "cannot be read"),
    ('{"d_in": 1' + "0" * 4000 + "}", "no usable 'd_in'"), ('{"d_in": 6, "d_sae": true}', "no usable 'd_sae'")])
def test_configs_of_any_shape_are_refused_in_words(tmp_path, text, says):
    saelens(tmp_path)
    (tmp_path / "cfg.json").write_bytes(text.encode("latin-1"))
    refused(tmp_path, says)


@pytest.mark.parametrize(("values", "says"), [
    ({"metadata": [1]}, "'metadata'"), ({"normalize_activations": ["none"]}, "normalisation"),
    ({"architecture": "topk", "k": 21}, "20 features, of which 21"), ({"hook_point": {"a": 1}}, "'hook_point'"),
    ({"metadata": {"context_size": "all"}}, "'context_size'"), ({"architecture": ["topk"]}, "not supported")])
def test_values_that_do_not_belong_are_named(tmp_path, values, says):
    saelens(tmp_path, **values)
    refused(tmp_path, says)


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.complex64])
def test_weights_that_are_no_real_numbers_are_refused(tmp_path, dtype):
    torch.save({"W_enc": torch.ones(20, 6, dtype=dtype)}, tmp_path / "sae.pt")
    refused(tmp_path / "sae.pt", "numbers of type")


def test_a_path_does_not_lead_out_of_the_repository(tmp_path):
    config(tmp_path / "secret", trainer={})
    refused("owner/name:../../secret", "leads out of the repository")
    assert json.loads((tmp_path / "secret" / "cfg.json").read_text()) == {"trainer": {}}
