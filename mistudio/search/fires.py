"""What fires on a text: the extraction's own model up to its hook point, its SAE, and each token's strongest features.

torch and transformers are imported when a text is read, not before.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mistudio.errors import MistudioError, ModelError, SAEError
from mistudio.settings import settings
from mistudio.store.search import Named
from mistudio.store.tables import Extraction

if TYPE_CHECKING:
    import torch

    from mistudio.extract.config import ExtractConfig
    from mistudio.model.load import LoadedModel
    from mistudio.sae.sae import SAE

MOST_TOKENS = 512
MOST_CHARACTERS = 20_000
STRONGEST = 20  # features kept of each token
DENSE_ABOVE = 0.1  # share of all tokens; such features say little of one
BLOCK_BYTES = 64_000_000  # activations of all features that exist at a time


@dataclass(frozen=True)
class Reading:
    """A text that was read.

    ``tokens`` ``[n]`` int64; ``features`` and ``activations`` ``[n, k]`` are each token's strongest, strongest first,
    with activation 0 where there are no more; ``peaks`` ``[d_sae]`` float32 each feature's maximum on the text;
    ``cut`` says that the text was longer than what is read.
    """

    tokens: np.ndarray
    features: np.ndarray
    activations: np.ndarray
    peaks: np.ndarray
    cut: bool
    resid: "torch.Tensor"
    counted: "torch.Tensor"

    @property
    def shown(self) -> list[int]:
        """Every feature that is among a token's strongest."""
        return np.unique(self.features[self.activations > 0]).tolist()


def strongest(reading: Reading, names: dict[int, Named], most: int, *,
              dense: bool = False) -> list[list[tuple[Named, float]]]:
    """For each token its strongest features and their activations, strongest first.

    Args:
        dense: also features that are active on so many tokens that they say little of one.
    """
    def of_token(features: np.ndarray, values: np.ndarray) -> list[tuple[Named, float]]:
        found = [(names[feature], value) for feature, value in zip(features.tolist(), values.tolist(), strict=True)
                 if value > 0 and feature in names]
        return [each for each in found if dense or each[0].density <= DENSE_ABOVE][:most]

    return [of_token(*row) for row in zip(reading.features, reading.activations, strict=True)]


@dataclass
class Reader:
    """Model and SAE of an extraction, loaded."""

    loaded: "LoadedModel"
    sae: "SAE"
    config: "ExtractConfig"
    lock: threading.Lock = field(default_factory=threading.Lock)

    def read(self, text: str) -> Reading:
        """Run a text as the extraction ran its corpus: in contexts of the same length, of at most ``MOST_TOKENS``
        tokens.

        Raises:
            ModelError: it holds no token, or the activations are not finite.
        """
        import torch

        from mistudio.extract.corpus import Document, contexts
        from mistudio.extract.passes import is_counted, read_activations

        text = text.encode("utf-8", "ignore").decode()
        if not text.strip():
            raise ModelError("There is no text to read.", "Type or paste some.")
        rows = contexts([Document("text", text[:MOST_CHARACTERS])], self.loaded.tokenizer, pack=True,
                        length=self.config.context_length, prepend_bos=self.config.prepend_bos, batch_size=4)
        tokens, resid, counted, cut = [], [], [], len(text) > MOST_CHARACTERS
        # A forward pass ends by a hook on the model, so that two at a time would end each other.
        with self.lock, torch.inference_mode():
            for batch in rows:
                found = read_activations(self.config.hook_point, self.loaded, batch, center=self.config.center,
                                         fold_value_biases=self.config.fold_value_biases)
                inside = torch.from_numpy(batch.document != 0)
                tokens.append(batch.tokens[batch.document != 0])
                resid.append(found[inside.to(found.device)])
                counted.append(is_counted(batch, found)[inside.to(found.device)])
                if sum(map(len, tokens)) >= MOST_TOKENS:
                    cut = cut or sum(map(len, tokens)) > MOST_TOKENS or next(rows, None) is not None
                    break
            return self._strongest(np.concatenate(tokens)[:MOST_TOKENS], torch.cat(resid)[:MOST_TOKENS],
                                   torch.cat(counted)[:MOST_TOKENS], cut)

    def _strongest(self, tokens: np.ndarray, resid: "torch.Tensor", counted: "torch.Tensor", cut: bool) -> Reading:
        import torch

        kept = min(STRONGEST, self.sae.d_sae)
        peaks = torch.zeros(self.sae.d_sae, device=resid.device)
        values, features = [], []
        block = max(BLOCK_BYTES // (4 * self.sae.d_sae), 1)
        for start in range(0, len(tokens), block):
            part = slice(start, start + block)
            acts = (self.sae.encode(resid[part]) * counted[part]).float()
            peaks = torch.maximum(peaks, acts.amax(dim=0))
            top = torch.topk(acts, kept, dim=1)
            values.append(top.values)
            features.append(top.indices)
        return Reading(tokens, torch.cat(features).cpu().numpy(), torch.cat(values).cpu().numpy(),
                       peaks.cpu().numpy(), cut, resid, counted)

    def activations(self, reading: Reading, feature: int) -> np.ndarray:
        """One feature's activation at each token of a text, ``[n]`` float32.

        Raises:
            SAEError: the SAE has no such feature.
        """
        import torch

        from mistudio.extract.ranges import FeatureRange

        if not 0 <= feature < self.sae.d_sae:
            raise SAEError(f"The SAE has no feature {feature}.", f"Use an index from 0 to {self.sae.d_sae - 1:,}.")
        with torch.inference_mode():
            found = FeatureRange(self.sae, feature, feature + 1).encode(reading.resid, 0) * reading.counted
        return found[:, 0].float().cpu().numpy()


def load_reader(extraction: Extraction, say: Callable[[str], None] = lambda _step: None) -> Reader:
    """Load the model and the SAE of an extraction.

    Args:
        say: called with what is being done.

    Raises:
        MistudioError: they are not on this machine, or are others than those of the extraction.
    """
    config = dict(extraction.config)
    if not config.get("model") or not config.get("sae"):
        raise ModelError("These features were imported: nothing says which files hold their model and SAE.",
                         "Extract from the model and SAE here (Home, or: python -m mistudio extract).")
    model, sae = _model_of(extraction), _sae_of(extraction)
    say(f"Loading {extraction.model} and its SAE")
    from mistudio.extract.config import ExtractConfig
    from mistudio.extract.passes import load_both

    # What was run on a GPU in half precision may run here on a CPU that has none.
    dtype = "float32" if extraction.dtype == "float32" else "auto"
    loaded, found, config = load_both(ExtractConfig(**config | {
        "model": model, "sae": sae, "device": "auto", "dtype": dtype, "engine": "local"}))
    if found.hash != extraction.sae_hash:
        raise SAEError(f"The SAE {extraction.sae!r} found here is not the one of this extraction.",
                       "Put back the SAE's files, or extract again.")
    return Reader(loaded, found, config)


def _model_of(extraction: Extraction) -> str:
    from mistudio.demo.fetch import MODEL_NAME

    name = extraction.config["model"]
    for folder in (Path(name), settings().models_dir / extraction.model):
        if folder.is_dir():
            return str(folder)
    if extraction.model == MODEL_NAME:
        raise _absent(ModelError, "model", extraction.model, "Fetch it with: python -m mistudio demo.")
    # A Hugging Face id has one slash at most; the loader says what is wrong with it.
    if name.count("/") > 1 or Path(name).is_absolute():
        raise _absent(ModelError, "model", extraction.model, f"Put its folder into {settings().models_dir}.")
    return name


def _sae_of(extraction: Extraction) -> str:
    from mistudio.demo.setup import SAE_FOLDER

    name = extraction.config["sae"]
    for folder in (Path(name), settings().models_dir / extraction.sae, SAE_FOLDER.with_name(extraction.sae)):
        if folder.exists() and extraction.sae:
            return str(folder)
    if name.partition(":")[0].count("/") > 1 or Path(name).is_absolute():
        raise _absent(SAEError, "SAE", extraction.sae, f"Put its folder into {settings().models_dir}.")
    return name


def _absent(kind: type[MistudioError], what: str, name: str, hint: str) -> MistudioError:
    return kind(f"The {what} {name!r} of this extraction is not on this machine.", hint)
