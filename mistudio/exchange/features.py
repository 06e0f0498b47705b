"""Features that were computed elsewhere: where their readers put them, and how they become an extraction."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path

import numpy as np
from pydantic import Field
from sqlalchemy import Engine
from sqlmodel import Session

from mistudio.access import visitor
from mistudio.config import JobConfig
from mistudio.errors import ExchangeError
from mistudio.extract.config import ExtractConfig
from mistudio.extract.corpus import document_hash, split_of
from mistudio.extract.describe import RARE_BELOW, distinct, feature_state, top_tokens
from mistudio.store import Extraction, Label, session
from mistudio.store.examples import SOURCES, SPLITS, Examples, add_references, add_vocabulary
from mistudio.store.features import add_features
from mistudio.store.labels import add_label
from mistudio.store.staging import SILENT, StagedFeature, Staging, Window
from mistudio.store.tables import now

BLOCK = 512  # features that are written at a time
MOST_TOKEN_TEXTS = 2_000_000
# As many windows are kept of a feature as an extraction keeps.
MOST = tuple(ExtractConfig.model_fields[name].default for name in ("top", "sample"))
MOST_REFERENCES = ExtractConfig.model_fields["references"].default
FLOAT16 = np.finfo(np.float16)


class FeatureImportConfig(JobConfig):
    """What the files do not say. The shell and the stored row use this one object."""

    name: str = Field("", description="A name for the extraction; made from model and SAE if empty.")
    model: str = Field("", description="Model that the features are of; as the files say if empty.")
    hook_point: str = Field("", description="Where its activations were read, for example layers.9 or "
                            "blocks.9.hook_resid_post; as the files say if empty.")
    sae: str = Field("", description="SAE that the features are of; as the files say, or the file's name, if empty.")
    window: int = Field(32, ge=8, description="Tokens an example; longer texts are cut around the strongest token.")


@dataclass
class Told:
    """What the files say of all features together; empty or None where they are silent."""

    model: str = ""
    hook_point: str = ""
    sae: str = ""
    corpus: str = ""
    tokens: int | None = None


@dataclass(frozen=True)
class FeatureImportReport:
    """What an import stored: an extraction with ``features``, ``windows`` kept as examples (``splits`` counts them by
    split; ``left_out`` were the same as others, or more than are kept of a feature), ``texts`` and their ``tokens``,
    ``references`` in which it is known which features are silent, and ``labels``. The density of ``counted`` features
    was not given: it is the share of the imported tokens on which they are active."""

    extraction: int
    features: int
    windows: int
    left_out: int
    splits: dict[str, int]
    texts: int
    tokens: int
    references: int
    labels: int
    counted: int


class _Numbers(dict[str, int]):
    """Tokens numbered as they come."""

    def __missing__(self, token: str) -> int:
        number = self[token] = len(self)
        return number


@dataclass
class Incoming:
    """Where the readers of all formats put what they find."""

    staged: Staging
    ids: _Numbers = field(default_factory=_Numbers)

    def text(self, tokens: list[str], document: str | None, complete: bool = False) -> int:
        """The number of a text; the name of its document (the text itself, if None) alone decides its split."""
        hashed = document_hash("".join(tokens) if document is None else document)
        return self.split_text(tokens, hashed, split_of(hashed), complete)

    def split_text(self, tokens: list[str], document: int, split: int, complete: bool = False) -> int:
        """The same where document hash and split are known."""
        ids = np.array([self.ids[token] for token in tokens], dtype=np.int32)
        if len(self.ids) > MOST_TOKEN_TEXTS:
            raise ExchangeError(f"There are more than {MOST_TOKEN_TEXTS:,} different tokens.",
                                "No tokenizer has so many: write a text's tokens, not its words or sentences.")
        return self.staged.add_text(ids, document, split, complete)

    def window(self, index: int, text: int, values: list[float], source: int = SOURCES.index("top")) -> None:
        """A feature's activations on a text, one a token."""
        clipped = np.minimum(np.array(values), FLOAT16.max).astype(np.float32)
        # What is not zero must not become zero where it is stored.
        self.staged.add_window(index, text, source, np.where(clipped > 0, np.maximum(
            clipped, FLOAT16.smallest_subnormal), 0))


def write_extraction(engine: Engine, incoming: Incoming, told: Told, config: FeatureImportConfig, path: Path,
                     started: float) -> FeatureImportReport:
    """Write everything that is set aside as a finished extraction, in one transaction.

    Raises:
        ExchangeError: there is no feature.
    """
    staged = incoming.staged
    features, largest, texts, tokens, longest = staged.sizes()
    if not features:
        raise ExchangeError(f"{path.name} holds no feature.", "Check that it is the right file or folder.")
    model, hook_point, sae = (getattr(config, name) or getattr(told, name) for name in ("model", "hook_point", "sae"))
    sae = sae or path.name.split(".")[0]
    with session(engine) as work:
        extraction = Extraction(
            name=config.name or ", ".join(filter(None, (model, hook_point, sae))), model=model or "unknown",
            hook_point=hook_point or "unknown", sae=sae, sae_hash="", architecture="imported", d_in=0,
            d_sae=largest + 1, corpus=told.corpus or path.name, tokens=told.tokens or tokens, contexts=texts,
            context_length=longest, window=config.window, dtype="", state="done",
            config=config.model_dump(), vocabulary_hash=add_vocabulary(work, list(incoming.ids)),
            author=visitor().name)
        work.add(extraction)
        work.flush()
        writer = _Writer(work, extraction.id, config.window, tokens, list(incoming.ids))
        for _block, part in groupby(enumerate(staged.features()), key=lambda pair: pair[0] // BLOCK):
            writer.write(feature for _number, feature in part)
        references = staged.references(MOST_REFERENCES, config.window)
        add_references(work, extraction.id, references)
        extraction.seconds, extraction.finished_at = time.monotonic() - started, now()
        work.add(extraction)
    return replace(writer.report, extraction=extraction.id, features=features, texts=texts, tokens=tokens,
                   references=len(references))


class _Writer:
    """Writes features block by block, and counts what it wrote."""

    def __init__(self, work: Session, extraction_id: int, window: int, tokens: int, vocabulary: list[str]):
        self.work, self.extraction_id, self.window = work, extraction_id, window
        self.tokens, self.vocabulary = tokens, vocabulary
        self.report = FeatureImportReport(extraction_id, 0, 0, 0, dict.fromkeys(SPLITS, 0), 0, 0, 0, 0, 0)

    def write(self, features: Iterator[StagedFeature]) -> None:
        rows, blobs, labels = [], [], []
        for feature in features:
            row, examples = self._feature(feature)
            rows.append(row)
            blobs.append(examples.to_blob() if len(examples) else None)
            labels.append(feature.labels)
        for feature_id, mine in zip(add_features(self.work, rows, blobs), labels, strict=True):
            # The first one of a file ends up as the current one.
            for label in reversed(mine):
                add_label(self.work, Label(feature_id=feature_id, origin="import", **label))
        self.report = replace(self.report, labels=self.report.labels + sum(map(len, labels)))

    def _feature(self, feature: StagedFeature) -> tuple[dict, Examples]:
        kept, counted = _Kept(self.window), _Counted()
        for window in feature.windows:
            counted.add(window)
            if window.source != SILENT:
                kept.add(window)
        examples = kept.examples()
        given = feature.given
        density, active = given.get("density"), given.get("active_tokens")
        if counted.active:
            density, active = density or None, active and max(active, counted.active)
        # Where nobody counted, a feature is neither dead nor rare as far as is known.
        known = active if active is not None else 0 if density == 0 else RARE_BELOW
        splits = np.bincount(examples.split, minlength=len(SPLITS))
        self.report = replace(
            self.report, windows=self.report.windows + len(examples),
            left_out=self.report.left_out + kept.offered - len(examples),
            counted=self.report.counted + (density is None),
            splits={name: self.report.splits[name] + int(splits[at]) for at, name in enumerate(SPLITS)})
        return {
            "extraction_id": self.extraction_id, "index": feature.index,
            "density": counted.active / max(self.tokens, 1) if density is None else density,
            "active_tokens": counted.active if active is None else active,
            "max_activation": max(given.get("max_activation") or 0.0, counted.maximum),
            "mean_activation": given.get("mean_activation") or counted.total / max(counted.active, 1),
            "state": feature_state(known, density or 0.0), "histogram": given.get("histogram", []),
            "top_tokens": top_tokens(examples, self.vocabulary), "promoted": given.get("promoted", []),
            "suppressed": given.get("suppressed", []), "starred": False, "note": ""}, examples


@dataclass
class _Counted:
    """Active tokens of a feature in the imported texts, each text once; sum and maximum of their activations."""

    active: int = 0
    total: float = 0.0
    maximum: float = 0.0
    seen: set[int] = field(default_factory=set)

    def add(self, window: Window) -> None:
        if window.text not in self.seen:
            self.seen.add(window.text)
            self.active += len(window.position)
            self.total += float(window.value.sum(dtype=np.float64))
            self.maximum = max(self.maximum, float(window.value.max(initial=0)))


class _Kept:
    """The windows of a feature that become its examples: at most so many of each split and source."""

    def __init__(self, window: int):
        self.width, self.offered = window, 0
        self.groups: dict[tuple[int, int], list[Window]] = {}

    def add(self, window: Window) -> None:
        self.offered += 1
        group = self.groups.setdefault((window.split, window.source), [])
        if len(group) < MOST[window.source][window.split]:
            group.append(window)

    def examples(self) -> Examples:
        """Cut to size around their peaks; near-identical ones dropped."""
        windows = [window for group in self.groups.values() for window in group]
        count = len(windows)
        tokens = np.full((count, self.width), -1, dtype=np.int32)
        activations = np.zeros((count, self.width), dtype=np.float16)
        peak = np.zeros(count, dtype=np.int64)
        for row, window in enumerate(windows):
            strongest = int(window.position[window.value.argmax()])
            start = min(max(strongest - self.width // 2, 0), max(len(window.tokens) - self.width, 0))
            shown = window.tokens[start:start + self.width]
            tokens[row, :len(shown)], peak[row] = shown, strongest - start
            inside = (window.position >= start) & (window.position < start + self.width)
            activations[row, window.position[inside] - start] = window.value[inside]
        found = Examples(tokens, activations, peak, *(
            np.array([getattr(window, name) for window in windows], dtype=kind)
            for name, kind in (("text", np.int64), ("document", np.uint64), ("split", np.int64), ("source", np.int64))))
        return found.take(self._distinct(found))

    def _distinct(self, found: Examples) -> np.ndarray:
        group = found.split * len(SOURCES) + found.source
        keep = np.zeros(len(found), dtype=bool)
        for mine in (group == number for number in np.unique(group)):
            keep[mine] = distinct(found.tokens[None, mine], found.peak[None, mine], np.ones((1, mine.sum()), bool))[0]
        return keep
