"""The number format that suits a device."""

import pytest
import torch

from mistudio.model.load import load_model
from tests.tiny import tiny_model


@pytest.mark.parametrize("dtype", ["auto", "float32", "bfloat16"])
def test_a_model_comes_in_the_format_asked_for_or_in_one_its_device_multiplies(tmp_path, dtype):
    found = load_model(str(tiny_model(tmp_path / "model")), device="cpu", dtype=dtype).model.dtype
    fast = torch.bfloat16 if torch.ops.mkldnn._is_mkldnn_bf16_supported() else torch.float32
    assert found == {"auto": fast, "float32": torch.float32, "bfloat16": torch.bfloat16}[dtype]
