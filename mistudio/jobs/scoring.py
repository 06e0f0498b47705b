"""Scoring runs: queue them, and score one label."""

from dataclasses import dataclass

import numpy as np
from sqlalchemy import Engine

from mistudio.errors import MistudioError, StoreError
from mistudio.label.ask import Asked
from mistudio.label.cost import check_budget, price
from mistudio.label.material import NoEvidence, material_of
from mistudio.label.providers import CONCURRENCY, Provider
from mistudio.run.job import guarded
from mistudio.score.config import JUDGED, ScoreConfig
from mistudio.score.judge import Call
from mistudio.score.methods import Wrong, judge_calls, score_label
from mistudio.score.trials import Trials, draw_trials
from mistudio.store import Extraction, Feature, Label, Score, runs, session
from mistudio.store.extractions import get_extraction
from mistudio.store.features import FeatureFilter
from mistudio.store.items import Item, Outcome
from mistudio.store.plans import plan_scores
from mistudio.store.scores import labels_of_run, scores_of

SPLIT = "test"
# Up to so many features, all of them get a baseline: a share of few would be none.
FEW = 20


def start_scores(engine: Engine, extraction_id: int, config: ScoreConfig, wanted: FeatureFilter) -> int:
    """Queue a run that scores the current labels of the matching features. Nothing is asked yet.

    Returns:
        The run's id, for ``work.work_run`` or ``background.launch``.

    Raises:
        MistudioError: there is no such extraction, nothing to score or nothing to score by, or the budget cannot be
            kept.
    """
    if not config.judges:
        raise MistudioError("There is nothing to score by.", "Choose a judge, or the embedding score.")
    check_budget(config)
    with session(engine) as work:
        get_extraction(work, extraction_id)
        items = plan_scores(extraction_id, wanted, config.judges, again=config.again)
        if not work.exec(items.limit(1)).first():
            raise StoreError("No feature matches, so there is nothing to score.", "Choose other features.")
        return runs.create_run(work, extraction_id, config.model_dump() | {"wanted": wanted.as_dict()}, items,
                               kind="score").id


@dataclass(frozen=True)
class Tried:
    """A label to score: the windows it is tried on, the wrong label beside it, and by which methods."""

    label: Label
    trials: Trials
    wrong: Wrong | None
    methods: list[str]


class ScoreJob:
    """What a scoring run does with a label."""

    def __init__(self, engine: Engine, run_id: int, config: ScoreConfig, provider: Provider | None):
        self.engine, self.run_id, self.config, self.provider = engine, run_id, config, provider
        self.concurrency = provider.default_concurrency if provider else CONCURRENCY["none"]
        self.replace_human = False
        with session(engine) as work:
            self.others = labels_of_run(work, run_id)

    def rate_limits(self) -> int:
        return self.provider.rate_limits if self.provider else 0

    def prepare(self, items: list[Item]) -> list[Tried | Outcome]:
        """What to try, or why nothing can be."""
        return [guarded(self._prepare, item) for item in items]

    def _prepare(self, item: Item) -> Tried | Outcome:
        with session(self.engine) as work:
            label = work.get_one(Label, item.label_id)
            feature = work.get_one(Feature, item.feature_id)
            material = material_of(work, work.get_one(Extraction, feature.extraction_id))
            # An item that failed half way has some of its scores already.
            done = {score.method for score in scores_of(work, label.id) if score.run_id == self.run_id}
            try:
                trials = draw_trials(work, feature, material, SPLIT, self.config.active, self.config.silent,
                                     self.config.seed)
            except NoEvidence as error:
                return Outcome("skipped", reason_kind="too few windows", reason=str(error))
        return Tried(label, trials, self._wrong(item.index, label),
                     [method for method in self.config.judges if method not in done])

    def calls(self, tried: Tried) -> dict[str, Call]:
        """Everything that will be asked, by method, whose label it is, and number."""
        return {f"{method}.{whose}.{number}": call for method in tried.methods if method in JUDGED
                for whose, asking in judge_calls(method, tried.label, tried.wrong, tried.trials, self.config).items()
                for number, call in enumerate(asking, 1)}

    def ask(self, tried: Tried) -> Outcome:
        """Every score, up to the first that there is none of."""
        label, total, scores = tried.label, Asked(), []
        for method in tried.methods:
            score, asked = score_label(method, label, tried.wrong, tried.trials, SPLIT, self.config, self.provider)
            total.count(asked.prompt_tokens, asked.completion_tokens)
            if score is None:
                return self._outcome(scores, label, total, state="failed", reason_kind=asked.kind,
                                     reason=f"{method}: {asked.error}", reply=asked.reply)
            scores.append(score)
        return self._outcome(scores, label, total)

    def _outcome(self, scores: list[Score], label: Label, total: Asked, **more) -> Outcome:
        for score in scores:
            score.label_id, score.run_id = label.id, self.run_id
        said = ", ".join(f"{score.method} {score.value:.2f}" for score in scores)
        return Outcome(scores=scores, asked=self.provider is not None, prompt_tokens=total.prompt_tokens,
                       completion_tokens=total.completion_tokens, text=f"{said} for {label.text}",
                       cost=price(self.config, total.prompt_tokens, total.completion_tokens), **more)

    def _wrong(self, index: int, label: Label) -> Wrong | None:
        """The label of another feature of the run, for the features that are to have a baseline."""
        random = np.random.default_rng([self.config.seed, index])
        others = [other for other in self.others if other[0].casefold() != label.text.casefold()]
        if not others or (len(self.others) > FEW and random.random() >= self.config.baseline):
            return None
        return Wrong(*others[random.integers(len(others))])
