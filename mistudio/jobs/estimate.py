"""What a run will take, before it starts: ranges, from real prompts of some of its features."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from sqlalchemy import Engine

from mistudio.jobs.contest import contest_trials, judging_config
from mistudio.jobs.scoring import FEW
from mistudio.label.config import LabelConfig
from mistudio.label.cost import price
from mistudio.label.factual import factual_label
from mistudio.label.material import NoEvidence, material_of
from mistudio.label.one import evidence_for, template_of
from mistudio.label.prompts import render, revise
from mistudio.label.providers import CONCURRENCY, FREE, IN_PROCESS
from mistudio.run.config import RunConfig
from mistudio.score.config import JUDGED, ScoreConfig
from mistudio.score.methods import judge_calls, shown_in
from mistudio.score.trials import Trials, draw_trials
from mistudio.store import Extraction, Feature, Label, runs, session
from mistudio.store.features import FeatureFilter
from mistudio.store.plans import outline_labels, outline_scores

SAMPLED = 8
# English prose runs to about 4.5 characters a token, code and marks to about 2.8; no tokenizer is loaded for this.
CHARACTERS_PER_TOKEN = (4.5, 2.8)
# Tokens of an answer: a bare label, a JSON answer, and what a reasoning model thinks before it.
BARE, ANSWER, REASONING = (3, 16), (40, 140), (150, 1500)
VERDICT = (9, 14)  # tokens of the answer on one window
REASONING_MODELS = ("gpt-5", "o1", "o3", "o4")
# Stands for a label that is not written yet, as long as most are.
TYPICAL = Label(feature_id=0, origin="llm", text="opening brackets of function calls", reply="x" * 250,
                explanation="The feature is active on the bracket that opens the arguments of a call in Python code.")


@dataclass(frozen=True)
class Estimate:
    """Each range is ``(low, high)`` for the whole run.

    ``features`` will be labeled (or scored) and ``skipped`` not. ``calls`` ask for labels or judge them. ``cost`` is US
    dollars, None when the price is not known; ``free`` says that the model runs on one's own machine and there is no
    price. ``seconds`` is None until the model has answered at least once, and for answers that come as files.
    """

    features: int
    skipped: int
    calls: tuple[int, int]
    prompt_tokens: tuple[int, int]
    completion_tokens: tuple[int, int]
    cost: tuple[float, float] | None
    free: bool
    seconds: tuple[float, float] | None


class Asking(NamedTuple):
    """What is asked about one feature: calls for a label, calls to a judge, characters of all their prompts, and the
    windows that are judged."""

    labels: float = 0
    judging: float = 0
    characters: float = 0
    windows: float = 0

    def plus(self, other: "Asking", times: float = 1) -> "Asking":
        return Asking(*(mine + times * theirs for mine, theirs in zip(self, other, strict=True)))


def estimate(engine: Engine, extraction_id: int, config: LabelConfig, wanted: FeatureFilter, *,
             batch: bool = False, tried: float | None = None) -> Estimate:
    """Estimate a labeling run over the matching features from the prompts of eight of them.

    At least, candidates turn out the same and none is revised; at most, all differ and each feature is revised once.

    Args:
        batch: it is asked in batches, at their price.
        tried: seconds of an answer that was not stored, for a model that is not known otherwise.

    Raises:
        StoreError: the filter is not valid.
    """
    with session(engine) as work:
        queued, skipped, sample = outline_labels(work, extraction_id, wanted, SAMPLED,
                                                 replace_human=config.replace_human)
        each = runs.seconds_a_label(work, config.provider, config.model)
    low, high = _means(sample, lambda feature_id: _labeling(engine, feature_id, config))
    if each is None and tried is not None:
        each = tried, tried
    if each is not None:
        each = each[0] * (low.labels + low.judging), each[1] * (high.labels + high.judging)
    return _estimate(config, (queued, skipped), (low, high), BARE if config.provider == "embedded" else ANSWER, each,
                     batch)


def estimate_scores(engine: Engine, extraction_id: int, config: ScoreConfig, wanted: FeatureFilter, *,
                    batch: bool = False) -> Estimate:
    """Estimate a scoring run over the matching features from the prompts of eight of them.

    Args:
        batch: it is asked in batches, at their price.

    Raises:
        StoreError: the filter is not valid.
    """
    with session(engine) as work:
        queued, skipped, sample = outline_scores(work, extraction_id, wanted, config.judges, SAMPLED,
                                                 again=config.again)
        each = runs.seconds_a_score(work, config.judges)
    tried = 1 + (1.0 if queued <= FEW else config.baseline)
    asked = _means(sample, lambda feature_id: 2 * (_scoring(engine, feature_id, config),))
    each_tried = tuple(Asking().plus(one, tried) for one in asked)
    return _estimate(config, (queued, skipped), each_tried, ANSWER, each, batch)


def _estimate(config: RunConfig, features: tuple[int, int], asked: tuple[Asking, Asking], answer: tuple[int, int],
              each: tuple[float, float] | None, batch: bool) -> Estimate:
    """
    Args:
        features: how many are worked on, and how many are skipped.
        asked: of a feature, at least and at most.
        answer: tokens of a label, few and many.
        each: seconds for a feature, few and many; None when not known.
    """
    count, skipped = features
    calls = tuple(round(count * (one.labels + one.judging)) for one in asked)
    prompt = tuple(round(count * one.characters / ratio)
                   for one, ratio in zip(asked, CHARACTERS_PER_TOKEN, strict=True))
    completion = tuple(round(count * (one.labels * label + one.windows * verdict))
                       for one, label, verdict in zip(asked, answer, VERDICT, strict=True))
    if config.provider == "openai" and config.model.startswith(REASONING_MODELS):
        completion = tuple(number * tokens for number, tokens in zip(calls, REASONING, strict=True))
    costs = [price(config, *tokens, batch=batch) for tokens in zip(prompt, completion, strict=True)]
    width = 1 if config.provider in IN_PROCESS else config.concurrency or CONCURRENCY[config.provider]
    return Estimate(
        features=count, skipped=skipped, calls=calls, prompt_tokens=prompt, completion_tokens=completion,
        cost=None if None in costs else (costs[0], costs[1]), free=config.provider in FREE,
        seconds=None if each is None or batch else (each[0] * count / width, each[1] * count / width))


def _means(sample: list, asked: Callable[..., tuple[Asking, Asking]]) -> tuple[Asking, Asking]:
    """Means of what is asked, at least and at most, about those of a sample."""
    told = []
    for each in sample:
        with suppress(NoEvidence):
            told.append(asked(each))
    low, high = np.mean(told, axis=0).tolist() if told else (Asking(), Asking())
    return Asking(*low), Asking(*high)


def _labeling(engine: Engine, feature_id: int, config: LabelConfig) -> tuple[Asking, Asking]:
    """What is asked to label a feature, at least and at most. Raises: NoEvidence."""
    with session(engine) as work:
        feature = work.get_one(Feature, feature_id)
        label = work.get(Label, feature.label_id) if feature.label_id else None
        if config.factual and factual_label(feature):
            return Asking(), Asking()
        prompt = render(evidence_for(engine, feature_id, config, rough=True), template_of(config))
        once = Asking(labels=1, characters=len(prompt.text))
        if not config.compares:
            return once, once
        try:
            trials = contest_trials(work, feature, config, rough=True)
        except NoEvidence:  # then one label is asked for, and compared with none
            return once, once
    methods, judge = [config.choose_by] if config.choose_by in JUDGED else [], judging_config(config)

    def judging(split: str) -> Asking:
        return _judging(label or TYPICAL, methods, trials[split], judge) if split in trials else Asking()

    select = judging("select")
    low = Asking().plus(once, config.candidates).plus(select).plus(judging("test"))
    if config.keep_better and label:
        low = low.plus(select)
    high = low.plus(select, config.candidates - 1)
    if config.revise_below is not None:
        shown = shown_in(config.choose_by, trials["revise"])
        asked = revise(prompt, TYPICAL.reply, [trial.record(not trial.right) for trial in shown])
        high = high.plus(judging("revise")).plus(Asking(labels=1, characters=len(asked.text))).plus(select)
    return low, high


def _scoring(engine: Engine, feature_id: int, config: ScoreConfig) -> Asking:
    """What is asked to score a feature's label. Raises: NoEvidence."""
    with session(engine) as work:
        feature = work.get_one(Feature, feature_id)
        label = work.get_one(Label, feature.label_id)
        material = material_of(work, work.get_one(Extraction, feature.extraction_id))
        trials = draw_trials(work, feature, material, "test", config.active, config.silent, config.seed, rough=True)
    return _judging(label, [method for method in config.judges if method in JUDGED], trials, config)


def _judging(label: Label, methods: list[str], trials: Trials, config: ScoreConfig) -> Asking:
    """What a judge is asked about a label by these methods."""
    asking = [call for method in methods for call in judge_calls(method, label, None, trials, config)["own"]]
    return Asking(judging=len(asking), characters=sum(len(prompt.text) for prompt, _form in asking),
                  windows=sum(len(shown_in(method, trials)) for method in methods))
