"""The language models that adapters belong to. An adapter is worth nothing on another model than its own."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from mistudio.demo.fetch import MODEL_NAME, demo_model
from mistudio.errors import ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from mistudio.model.load import LoadedModel

# Enough of a weights file to tell two models apart: names, shapes and the first weights. Reading all takes minutes.
HEAD = 1 << 22


def load_base(base: str, revision: str = "") -> "LoadedModel":
    """A base model, ready to run, in the number format that the device multiplies best.

    Args:
        base: a folder, a Hugging Face id, or the demo model's name, which fetches it on first use.
        revision: what ``revision_of`` said of it when the adapter was made; "" for any.

    Raises:
        ModelError: it cannot be found or loaded, or a folder holds another model than then.
    """
    from mistudio.model.load import load_model

    if base == MODEL_NAME:
        return load_model(str(demo_model()), dtype="auto")
    if not Path(base).is_dir():
        return load_model(base, revision=revision or None, dtype="auto")
    loaded = load_model(base, dtype="auto")
    if revision and revision != revision_of(base, loaded):
        raise ModelError(f"The model in {base} is not the one that the adapter was trained on.",
                         "Put the old one back, or distill again on this one.")
    return loaded


def prompt_ids(tokenizer: "PreTrainedTokenizerBase", prompt: str) -> list[int]:
    """Token ids of a prompt that is to be gone on with: with the beginning that the model's tokenizer gives a text, on
    which some models depend, and without an end."""
    # What a text of the corpus has in the form of a special token is text.
    ids = tokenizer(prompt, split_special_tokens=True)["input_ids"]
    return ids[:-1] if ids and ids[-1] == tokenizer.eos_token_id else ids


def revision_of(base: str, loaded: "LoadedModel") -> str:
    """What tells this model from others of the same name: its commit on the hub, or a hash of a folder's config and of
    the beginnings of its weights; "" for the demo model, which is checked when it is fetched."""
    if base == MODEL_NAME:
        return ""
    folder = Path(base)
    if not folder.is_dir():
        return loaded.revision
    digest = hashlib.sha256((folder / "config.json").read_bytes())
    for path in sorted([*folder.glob("*.safetensors"), *folder.glob("*.bin")]):
        with path.open("rb") as file:
            digest.update(file.read(HEAD))
    return digest.hexdigest()[:32]
