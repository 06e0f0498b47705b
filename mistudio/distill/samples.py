"""What a labeler learns from: labels, each with windows of its feature, and the features that are held out.

All windows are of the explain split, which labelers see; the test split stays for measuring.
"""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter
from sqlalchemy import Engine

from mistudio.distill.config import DistillConfig
from mistudio.errors import MistudioError
from mistudio.extract.corpus.document import document_hash
from mistudio.files import write_whole
from mistudio.label.completion import MINIMUM_STRENGTH, MOST_WINDOWS, completion_text
from mistudio.label.config import LabelConfig
from mistudio.label.evidence import Evidence
from mistudio.label.material import NoEvidence
from mistudio.label.one import evidence_for
from mistudio.label.prompts import COMPLETION, Prompt, render
from mistudio.store import session
from mistudio.store.labels import MAX_WORDS, learnable

FEWEST_LABELS, FEWEST_HELD_OUT = 30, 10
DRAWN_WINDOWS = (3, MOST_WINDOWS)  # the fewest and the most that a training prompt shows
# Windows of a feature from which training prompts are drawn: twice what a labeler is shown.
POOL = 40


@dataclass
class Sample:
    """A label and the windows of its feature, strongest first: strength 0-10, text before, active token, text after."""

    label: str
    windows: list[tuple[float, str, str, str]]

    def prompt(self, chosen: random.Random | None = None) -> str:
        """The labeler's prompt: of the strongest windows, or of a random draw (for training)."""
        windows = self.windows[:MOST_WINDOWS]
        if chosen is not None:
            fewest, most = (min(count, len(self.windows)) for count in DRAWN_WINDOWS)
            windows = chosen.sample(self.windows, chosen.randint(fewest, most))
            windows.sort(key=lambda window: -window[0])
        return completion_text([active for _strength, _before, active, _after in windows], windows)


@dataclass
class HeldOut:
    """A label that is never trained on: the prompt that its feature gets in a run, and the record of its evidence."""

    feature_id: int
    index: int
    label: str
    prompt: Prompt
    evidence: dict


@dataclass
class Samples:
    """The labels of a distillation; ``left_out`` counts those of no use, by reason."""

    train: list[Sample]
    held_out: list[HeldOut]
    left_out: dict[str, int]

    def save(self, path: Path) -> None:
        write_whole(path, _FILE.dump_json(self))

    @staticmethod
    def load(path: Path) -> "Samples":
        return _FILE.validate_json(path.read_bytes())


_FILE = TypeAdapter(Samples)


def collect(engine: Engine, extraction_id: int, config: DistillConfig,
            on_label: Callable[[int, int], None] = lambda _done, _all: None) -> Samples:
    """Read the labels and their features' windows.

    Features are held out by a hash of their index. The same labels and config give the same samples.

    Args:
        on_label: called with how many labels are read, and of how many.

    Raises:
        MistudioError: there are too few labels.
    """
    with session(engine) as work:
        found = learnable(work, extraction_id, approved=config.labels == "approved", min_score=config.min_score)
    # The hash chooses both which labels are taken, where there are more than wanted, and which are held out.
    found.sort(key=lambda row: document_hash(f"feature {row[1]}"))
    left_out = Counter()
    useful: list[tuple[int, int, str, Evidence]] = []
    for feature_id, index, label in found:
        if len(useful) == config.most:
            break
        on_label(len(useful), min(len(found), config.most))
        if len(label.split()) > MAX_WORDS:
            left_out[f"over {MAX_WORDS} words"] += 1
            continue
        try:
            evidence = evidence_for(engine, feature_id, LabelConfig(seed=config.seed, examples=POOL))
        except NoEvidence:
            left_out["no example in the explain split"] += 1
            continue
        useful.append((feature_id, index, label, evidence))
    if len(useful) < FEWEST_LABELS:
        raise _too_few(len(useful), config, left_out)
    count = held_out_of(len(useful), config)
    held_out = []
    for feature_id, index, label, _evidence in useful[:count]:
        evidence = evidence_for(engine, feature_id, LabelConfig(seed=config.seed))
        held_out.append(HeldOut(feature_id, index, label, render(evidence, COMPLETION), evidence.record()))
    train = []
    for _feature_id, _index, label, evidence in useful[count:]:
        windows = [window.around_peak for window in evidence.windows]
        train.append(Sample(label, [each for each in windows if each[0] >= MINIMUM_STRENGTH] or windows))
    return Samples(train, held_out, dict(left_out))


def held_out_of(count: int, config: DistillConfig) -> int:
    """How many of so many labels are held out."""
    return max(round(config.held_out * count), FEWEST_HELD_OUT)


def _too_few(count: int, config: DistillConfig, left_out: Counter) -> MistudioError:
    what = "approved labels" if config.labels == "approved" else "labels"
    without = "".join(f"; {number} left out ({why})" for why, number in left_out.items())
    return MistudioError(
        f"{count} {what} can be learned from, and {FEWEST_LABELS} are the fewest{without}.",
        "Label more features with a good model and approve what fits (a few hundred are better), or learn from labels "
        "that nobody has judged: --labels current.")
