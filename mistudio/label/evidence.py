"""What one prompt shows of a feature: windows of text, silent windows, and statistics. Only the explain split."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from sqlmodel import Session

from mistudio.label.config import LabelConfig
from mistudio.label.material import Material, NoEvidence, material_of
from mistudio.label.negatives import silent_windows
from mistudio.label.sampling import FEWEST, choose, cropped, distinct
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

    @property
    def around_peak(self) -> tuple[float, str, str, str]:
        """Strength, text before the peak, the peak's own, and text after it: what ``completion_text`` takes."""
        before, after = self.segments[:self.peak], self.segments[self.peak + 1:]
        return (self.strength, "".join(text for text, _strength in before), self.segments[self.peak][0],
                "".join(text for text, _strength in after))


@dataclass(frozen=True)
class Evidence:
    """Everything that a prompt says of a feature.

    ``windows`` are strongest first, ``negatives`` are windows known to be silent; ``top_tokens`` most active first;
    ``followed_by`` are words seen more than once right after a peak; ``promoted`` are output tokens, ``predicted``
    those of them that stand right after peaks, with in how many windows; ``density`` is a fraction of tokens.
    ``hint`` is what a person said of the feature; ``note`` says so when windows had to be shown again.
    """

    index: int
    windows: tuple[EvidenceWindow, ...]
    negatives: tuple[EvidenceWindow, ...]
    top_tokens: tuple[str, ...]
    followed_by: tuple[str, ...]
    promoted: tuple[str, ...]
    predicted: tuple[tuple[str, int], ...]
    density: float
    strategy: str
    seed: int
    window: int | None = None
    hint: str = ""
    note: str = ""

    def record(self) -> dict:
        """What is stored beside the label, enough to show the same evidence again."""
        record = {"strategy": self.strategy, "seed": self.seed, "window": self.window,
                  "examples": [window.id for window in self.windows],
                  "negatives": [window.id for window in self.negatives]}
        return record | {name: text for name, text in (("hint", self.hint), ("note", self.note)) if text}


def build_evidence(work: Session, extraction: Extraction, feature: Feature, config: LabelConfig, *,
                   avoid: Collection[str] = frozenset(), rough: bool = False) -> Evidence:
    """Choose what to show of a feature; the same arguments choose the same.

    Args:
        avoid: ids of examples already shown. None of them is shown again while enough others are left; ``note`` says
            when there were not.
        rough: silent windows are any, not hard ones; the evidence is as long, and no encoder is loaded for it.

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
    # Cut first: windows that differ only in what is not shown are the same.
    pool = distinct(cropped(explain, config.window))
    shown_before = _numbers(avoid)
    chosen, again = _chosen(pool, feature.max_activation, config, shown_before["examples"], random)
    # The embedded labeler's prompt has no room for silent windows.
    wanted = 0 if config.provider == "embedded" else config.negatives
    silent = silent_windows(material, feature.index, chosen, wanted, random, "explain",
                            hard=0 if rough else None, avoid=shown_before["negatives"])
    silent_again = sum(number in shown_before["negatives"] for number in silent)
    windows = _windows(chosen, feature.max_activation, material.vocabulary)
    peaks = chosen.tokens[np.arange(len(chosen)), chosen.peak]
    top = [str(row[0]) for row in feature.top_tokens] or [material.vocabulary[token] for token in peaks]
    promoted = tuple(str(row[0]) for row in feature.promoted)
    return Evidence(
        index=feature.index, windows=windows,
        negatives=tuple(_negative(material, number, peaks, config.window) for number in silent),
        top_tokens=tuple(dict.fromkeys(top))[:SHOWN_TOKENS], followed_by=_followed_by(windows),
        promoted=promoted[:SHOWN_TOKENS], predicted=_predicted(chosen, promoted, material.vocabulary),
        density=feature.density, strategy=config.strategy, seed=config.seed, window=config.window,
        hint=config.hint or "", note=_note(len(windows), again, len(silent), silent_again))


def _numbers(avoid: Collection[str]) -> dict[str, set[int]]:
    """Context numbers of the examples and window numbers of the negatives among ids."""
    found: dict[str, set[int]] = {"examples": set(), "negatives": set()}
    for shown in avoid:
        source, number = shown.rsplit(":", 1)
        found["negatives" if source == "reference" else "examples"].add(int(number))
    return found


def _note(shown: int, again: int, silent: int, silent_again: int) -> str:
    """What to say of windows that had to be shown again."""
    parts = []
    for count, repeated, what in ((shown, again, "examples"), (silent, silent_again, "silent windows")):
        if repeated and repeated == count:
            parts.append(f"All of its {what} have been shown before; there are no others.")
        elif repeated:
            parts.append(f"Only {count - repeated} of these {count} {what} had not been shown before.")
    return " ".join(parts)


def _chosen(pool: Examples, maximum: float, config: LabelConfig, known: set[int],
            random: np.random.Generator) -> tuple[Examples, int]:
    """The windows to show, strongest first, and how many of them were shown before."""
    seen = np.isin(pool.context, list(known))
    fresh, again = np.flatnonzero(~seen), np.flatnonzero(seen)
    if len(fresh) < FEWEST and len(again):
        wanted = max(0, config.examples - len(fresh))
        rows = [*fresh, *again[choose(pool.take(again), maximum, wanted, config.strategy, random)]]
    else:
        rows = fresh[choose(pool.take(fresh), maximum, config.examples, config.strategy, random)]
    chosen = pool.take(np.array(rows, dtype=np.int64))
    return chosen.take(np.argsort(-chosen.strength(), kind="stable")), int(seen[rows].sum())


def _windows(examples: Examples, maximum: float, vocabulary: list[str]) -> tuple[EvidenceWindow, ...]:
    strength = examples.activations.astype(float) / maximum * 10
    # What rounds to 0 of 10 reads as silent; the peak is marked however faint.
    marked = (strength >= 0.5) & (examples.tokens >= 0)
    marked[np.arange(len(examples)), examples.peak] = True
    names = [f"{SOURCES[source]}:{context}"
             for source, context in zip(examples.source.tolist(), examples.context.tolist(), strict=True)]
    texts = [[vocabulary[token] if token >= 0 else "" for token in row] for row in examples.tokens.tolist()]
    # As lists: to pick single numbers out of arrays takes longer than all else here.
    return tuple(map(_segments, names, texts, strength.tolist(), marked.tolist(), examples.peak.tolist()))


def _segments(name: str, texts: list[str], strength: list[float], marked: list[bool], peak: int) -> EvidenceWindow:
    segments: list[tuple[str, float]] = []
    before, at_peak = "", -1
    for position, text in enumerate(texts):
        if not marked[position]:
            before += text
            continue
        if before:
            segments.append((before, 0.0))
            before = ""
        if position == peak:
            at_peak = len(segments)
        segments.append((text, round(min(strength[position], 10.0), 1)))
    if before:
        segments.append((before, 0.0))
    return EvidenceWindow(name, tuple(segments), at_peak)


def _negative(material: Material, number: int, peaks: np.ndarray, window: int | None) -> EvidenceWindow:
    """A silent window, cut around the feature's token where it holds one."""
    tokens = material.tokens[number]
    if window is not None and window < len(tokens):
        held = np.flatnonzero(np.isin(tokens, peaks))
        middle = held[0] if len(held) else len(tokens) // 2
        start = min(max(0, middle - window // 2), len(tokens) - window)
        tokens = tokens[start:start + window]
    return EvidenceWindow(f"reference:{number}", ((material.text(tokens), 0.0),))


def _followed_by(windows: tuple[EvidenceWindow, ...]) -> tuple[str, ...]:
    words = Counter()
    for window in windows:
        after = "".join(text for text, _strength in window.segments[window.peak + 1:]).split(maxsplit=1)
        words.update(after[:1])
    return tuple(word for word, count in words.most_common(5) if count > 1)


def _predicted(chosen: Examples, promoted: tuple[str, ...], vocabulary: list[str]) -> tuple[tuple[str, int], ...]:
    """How often a promoted token is the one right after a peak: that word, without case and spaces around it."""
    following = chosen.peak + 1
    inside = following < chosen.tokens.shape[1]
    after = chosen.tokens[np.flatnonzero(inside), following[inside]]
    wanted = {token.strip().lower() for token in promoted}
    found = (vocabulary[token].strip().lower() for token in after if token >= 0)
    return tuple(Counter(word for word in found if word and word in wanted).most_common(SHOWN_TOKENS))
