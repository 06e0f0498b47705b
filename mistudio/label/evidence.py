"""What one prompt shows of a feature: windows of text, silent windows, and statistics. Only the explain split."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from sqlmodel import Session

from mistudio.label.config import LabelConfig
from mistudio.label.material import Material, NoEvidence, material_of
from mistudio.label.negatives import silent_windows
from mistudio.label.sampling import FEWEST, choose, distinct
from mistudio.store import Extraction, Feature
from mistudio.store.examples import SOURCES, Examples, load_examples

SHOWN_TOKENS = 8


@dataclass(frozen=True)
class EvidenceWindow:
    """A stretch of text in segments ``(text, strength)``, strength 0 where the feature is silent and up to 10.

    Each active token is a segment of its own; ``peak`` is the place of the strongest (-1 in a silent window). ``id`` is
    source and number: ``top:17`` and ``random:17`` are context 17, ``reference:3`` is reference window 3.
    """

    id: str
    segments: tuple[tuple[str, float], ...]
    peak: int = -1

    @property
    def strength(self) -> float:
        """The peak's strength, 0 to 10."""
        return self.segments[self.peak][1] if self.peak >= 0 else 0.0

    @property
    def text(self) -> str:
        return "".join(text for text, _strength in self.segments)


@dataclass(frozen=True)
class Evidence:
    """Everything that a prompt says of a feature.

    ``windows`` are strongest first, ``negatives`` are windows known to be silent; ``top_tokens`` most active first;
    ``followed_by`` are tokens seen more than once right after a peak; ``promoted`` are output tokens; ``density`` is a
    fraction of tokens. ``note`` says so when windows had to be shown again.
    """

    index: int
    windows: tuple[EvidenceWindow, ...]
    negatives: tuple[EvidenceWindow, ...]
    top_tokens: tuple[str, ...]
    followed_by: tuple[str, ...]
    promoted: tuple[str, ...]
    density: float
    strategy: str
    seed: int
    note: str = ""

    def record(self) -> dict:
        """What is stored beside the label, enough to show the same evidence again."""
        record = {"strategy": self.strategy, "seed": self.seed, "examples": [window.id for window in self.windows],
                  "negatives": [window.id for window in self.negatives]}
        return record | {"note": self.note} if self.note else record


def build_evidence(work: Session, extraction: Extraction, feature: Feature, config: LabelConfig, *,
                   avoid: Collection[str] = frozenset()) -> Evidence:
    """Choose what to show of a feature; the same arguments choose the same.

    Args:
        avoid: ids of examples already shown. None of them is shown again while enough others are left; ``note`` says
            when there were not.

    Raises:
        NoEvidence: no example of the feature lies in the explain split, or the extraction kept no token texts.
    """
    material = material_of(work, extraction)
    stored = load_examples(work, feature)
    explain = stored.only(split="explain") if stored is not None else None
    if explain is None or not len(explain) or feature.max_activation <= 0:
        raise NoEvidence(f"Feature {feature.index} has no example in the explain split.",
                         "Extract more text to see more of it.")
    random = np.random.default_rng([config.seed, feature.index, len(avoid)])
    chosen, note = _chosen(distinct(explain), feature.max_activation, config, avoid, random)
    windows = tuple(_window(chosen, row, feature.max_activation, material.vocabulary) for row in range(len(chosen)))
    peaks = chosen.tokens[np.arange(len(chosen)), chosen.peak]
    top = [str(row[0]) for row in feature.top_tokens] or [material.vocabulary[token] for token in peaks]
    return Evidence(
        index=feature.index, windows=windows,
        negatives=_negatives(material, feature.index, peaks, config.negatives, random),
        top_tokens=tuple(dict.fromkeys(top))[:SHOWN_TOKENS], followed_by=_followed_by(windows),
        promoted=tuple(str(row[0]) for row in feature.promoted[:SHOWN_TOKENS]), density=feature.density,
        strategy=config.strategy, seed=config.seed, note=note)


def _chosen(pool: Examples, maximum: float, config: LabelConfig, avoid: Collection[str],
            random: np.random.Generator) -> tuple[Examples, str]:
    """The windows to show, strongest first, and what to say about those shown before."""
    seen = [int(shown.rsplit(":", 1)[1]) for shown in avoid if not shown.startswith("reference:")]
    known = np.isin(pool.context, seen)
    fresh, again = np.flatnonzero(~known), np.flatnonzero(known)
    note = ""
    if len(fresh) < FEWEST and len(again):
        rest = pool.take(again)
        rows = [*fresh, *again[choose(rest, maximum, max(0, config.examples - len(fresh)), config.strategy,
                                      random)]]
        note = f"Only {len(fresh)} of these examples had not been shown before."
    else:
        rows = fresh[choose(pool.take(fresh), maximum, config.examples, config.strategy, random)]
    chosen = pool.take(np.array(rows, dtype=np.int64))
    return chosen.take(np.argsort(-chosen.strength(), kind="stable")), note


def _window(examples: Examples, row: int, maximum: float, vocabulary: list[str]) -> EvidenceWindow:
    source = SOURCES[int(examples.source[row])]
    return _segments(f"{source}:{int(examples.context[row])}", examples.tokens[row],
                     examples.activations[row].astype(float) / maximum * 10, int(examples.peak[row]), vocabulary)


def _segments(name: str, tokens: np.ndarray, strength: np.ndarray, peak: int, vocabulary: list[str]) -> EvidenceWindow:
    segments: list[tuple[str, float]] = []
    silent, at_peak = "", -1
    for position, token in enumerate(tokens):
        if token < 0:
            continue
        # What rounds to 0 of 10 reads as silent; the peak is marked however faint.
        if position != peak and strength[position] < 0.5:
            silent += vocabulary[token]
            continue
        if silent:
            segments.append((silent, 0.0))
        silent = ""
        if position == peak:
            at_peak = len(segments)
        segments.append((vocabulary[token], round(float(min(strength[position], 10.0)), 1)))
    if silent:
        segments.append((silent, 0.0))
    return EvidenceWindow(name, tuple(segments), at_peak)


def _negatives(material: Material, index: int, peaks: np.ndarray, count: int,
               random: np.random.Generator) -> tuple[EvidenceWindow, ...]:
    """Silent windows, those that hold one of the feature's tokens before others."""
    nothing = np.zeros(material.tokens.shape[1])
    return tuple(_segments(f"reference:{number}", material.tokens[number], nothing, -1, material.vocabulary)
                 for number in silent_windows(material, index, peaks, count, random, "explain"))


def _followed_by(windows: tuple[EvidenceWindow, ...]) -> tuple[str, ...]:
    words = Counter()
    for window in windows:
        after = "".join(text for text, _strength in window.segments[window.peak + 1:]).split(maxsplit=1)
        words.update(after[:1])
    return tuple(word for word, count in words.most_common(5) if count > 1)
