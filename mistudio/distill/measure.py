"""How good a labeler is on features that it was not trained on, beside the labels that they have.

Nearness of meaning is the cosine of all-MiniLM-L6-v2 vectors. On windows of the test split, which no labeler sees,
labels are scored as ``mistudio.score`` scores them: by embedding, and by detection where there is a judge.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from pydantic import BaseModel
from sqlalchemy import Engine

from mistudio.access import carried
from mistudio.distill.samples import HeldOut
from mistudio.jobs.scoring import SPLIT
from mistudio.label.adapters import Measures
from mistudio.label.answer import LabelAnswer
from mistudio.label.ask import Asked, ask
from mistudio.label.material import NoEvidence, material_of
from mistudio.label.one import label_question
from mistudio.label.prompts import Prompt
from mistudio.label.providers import Provider
from mistudio.score.config import ScoreConfig
from mistudio.score.methods import score_label
from mistudio.score.trials import draw_trials
from mistudio.search.encoder import encode
from mistudio.store import Extraction, Feature, Label, session

# What a feature without a usable label scores: no label tells active from silent windows no better than guessing.
GUESS = 0.5
# Two features may have the same label, whose cosines with a third text differ by this at most.
ROUNDING = 1e-5

OnItem = Callable[[int, int], None]


class Measured(BaseModel):
    """Each list has one entry a held-out feature: the ``labels`` (None where no usable one came), their cosine with the
    reference (0 without a label), how many other references are nearer (all without one), and by method the scores
    (None where there were too few windows, or the judge failed). ``shuffled`` is the mean cosine with references of
    others."""

    labels: list[str | None]
    similarity: list[float]
    nearer: list[int]
    shuffled: float
    scores: dict[str, list[float | None]] = {}

    def summary(self) -> Measures:
        """The means."""
        given = np.array([label is not None for label in self.labels])
        nearer = np.array(self.nearer)
        return Measures(failed=self.labels.count(None), similarity=float(np.mean(self.similarity)),
                        shuffled=self.shuffled, top1=float((given & (nearer < 1)).mean()),
                        top5=float((given & (nearer < 5)).mean()),
                        **{method: mean(values) for method, values in self.scores.items()})


def mean(values: list[float | None]) -> float | None:
    """The mean of those that there are; None when there are none."""
    found = [value for value in values if value is not None]
    return float(np.mean(found)) if found else None


def label_all(provider: Provider, prompts: list[Prompt], on_item: OnItem) -> list[Asked[LabelAnswer]]:
    """What a provider answers, as many at a time as it takes by itself.

    Raises:
        ProviderSetupError: it cannot answer any.
    """
    return _each(lambda prompt: ask(provider, prompt, label_question(prompt)), prompts, provider.default_concurrency,
                 on_item)


def compare(labels: list[str | None], references: list[str]) -> Measured:
    """Labels beside the references of the same features."""
    count = len(labels)
    given = [row for row, label in enumerate(labels) if label is not None]
    near = np.zeros((count, count), dtype=np.float32)
    if given:
        near[given] = encode([labels[row] for row in given]) @ encode(references).T
    own = near.diagonal()
    nearer = np.full(count, count)
    nearer[given] = (near > own[:, None] + ROUNDING).sum(axis=1)[given]
    others = (near.sum() - own.sum()) / max(count * (count - 1), 1)
    return Measured(labels=labels, similarity=own.tolist(), nearer=nearer.tolist(), shuffled=float(others))


def score_all(engine: Engine, held_out: list[HeldOut], labels: list[str | None], config: ScoreConfig,
              judge: Provider | None, on_item: OnItem) -> dict[str, list[float | None]]:
    """Scores on the test split, by method, as ``Measured`` holds them.

    Raises:
        ProviderSetupError: the judge cannot answer anything.
    """
    def scored(pair: tuple[HeldOut, str | None]) -> dict[str, float]:
        held, text = pair
        with session(engine) as work:
            feature = work.get_one(Feature, held.feature_id)
            material = material_of(work, work.get_one(Extraction, feature.extraction_id))
            try:
                trials = draw_trials(work, feature, material, SPLIT, config.active, config.silent, config.seed)
            except NoEvidence:
                return {}
        if text is None:
            return dict.fromkeys(config.judges, GUESS)
        label = Label(feature_id=held.feature_id, text=text, origin="llm", evidence=held.evidence)
        scores = {method: score_label(method, label, None, trials, SPLIT, config, judge)[0]
                  for method in config.judges}
        return {method: score.value for method, score in scores.items() if score is not None}

    found = _each(scored, list(zip(held_out, labels, strict=True)), judge.default_concurrency if judge else 1, on_item)
    return {method: [scores.get(method) for scores in found] for method in config.judges}


def _each(work: Callable, items: list, width: int, on_item: OnItem) -> list:
    """Results in order; ``on_item`` may raise to stop."""
    results = []
    with ThreadPoolExecutor(width) as pool:
        for first in range(0, len(items), width):
            on_item(first, len(items))
            results += pool.map(carried(work), items[first:first + width])
    return results
