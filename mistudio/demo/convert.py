"""Weights in the GGUF layout to a folder in the Hugging Face layout, bfloat16: ``python convert.py FILE FOLDER``.

A process of its own, which ``mistudio.demo.fetch`` starts: this takes more memory than anything that the demo does
afterwards, and so nothing of it stays with a server. It ends with ENOSPC where the folder cannot be written.
"""

import errno
import sys
from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig


def convert(gguf: Path, folder: Path) -> None:
    """Raises: OSError or SafetensorError, where the folder cannot be written."""
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    model = AutoModelForCausalLM.from_pretrained(
        gguf.parent, gguf_file=gguf.name, dtype=torch.bfloat16, quantization_config=GgufConfig(dequantize=True))
    tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)


if __name__ == "__main__":
    try:
        convert(Path(sys.argv[1]), Path(sys.argv[2]))
    except (OSError, SafetensorError) as error:  # the second is the writer's own: a full disk, for one
        print(error, file=sys.stderr)
        sys.exit(errno.ENOSPC)
