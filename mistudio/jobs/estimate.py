"""What a run will take, before it starts: ranges, from real prompts of some of its features."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from sqlalchemy import Engine

from mistudio.jobs.scoring import FEW
from mistudio.label.config import LabelConfig
from mistudio.label.cost import price
from mistudio.label.material import NoEvidence, material_of
from mistudio.label.one import evidence_for, template_of
from mistudio.label.prompts import render
from mistudio.label.providers import CONCURRENCY, FREE
from mistudio.run.config import RunConfig
from mistudio.score.config import JUDGED, ScoreConfig
from mistudio.score.methods import judge_calls, shown_in
from mistudio.score.trials import draw_trials
from mistudio.store import Extraction, Feature, Label, runs, session
from mistudio.store.features import FeatureFilter
from mistudio.store.items import plan_labels, plan_scores

SAMPLED = 8
# English prose runs to about 4.5 characters a token, code and marks to about 2.8; no tokenizer is loaded for this.
CHARACTERS_PER_TOKEN = (4.5, 2.8)
# Tokens of an answer: a bare label, a JSON answer, and what a reasoning model thinks before it.
BARE, ANSWER, REASONING = (3, 16), (40, 140), (150, 1500)
VERDICT = (9, 14)  # tokens of the answer on one window
REASONING_MODELS = ("gpt-5", "o1", "o3", "o4")


@dataclass(frozen=True)
class Estimate:
    """Each range is ``(low, high)`` for the whole run.

    ``features`` will be labeled (or scored) and ``skipped`` not. ``cost`` is US dollars, None when the price is not
    known; ``free`` says that the model runs on one's own machine and there is no price. ``seconds`` is None until the
    model has answered at least once.
    """

    features: int
    skipped: int
    prompt_tokens: tuple[int, int]
    completion_tokens: tuple[int, int]
    cost: tuple[float, float] | None
    free: bool
    seconds: float | None


def estimate(engine: Engine, extraction_id: int, config: LabelConfig, wanted: FeatureFilter, *,
             batch: bool = False) -> Estimate:
    """Estimate a labeling run over the matching features from the prompts of eight of them.

    Each candidate is counted; revisions, and the calls by which a model judges candidates, are not.

    Args:
        batch: it is asked in batches, at their price.

    Raises:
        StoreError: the filter is not valid.
    """
    with session(engine) as work:
        items = plan_labels(work, extraction_id, wanted, replace_human=config.replace_human)
        each = runs.seconds_a_label(work, config.provider, config.model)
    queued = _queued(items)
    template = template_of(config)

    def length(item: dict) -> list[int]:
        return [len(render(evidence_for(engine, item["feature_id"], config, rough=True), template).text)]

    (characters,) = config.candidates * _means(queued, length, 1)
    answer = BARE if config.provider == "embedded" else _answer(config, ANSWER)
    answers = tuple(config.candidates * tokens for tokens in answer)
    return _estimate(config, items, float(characters), answers, each and config.candidates * each, batch)


def estimate_scores(engine: Engine, extraction_id: int, config: ScoreConfig, wanted: FeatureFilter, *,
                    batch: bool = False) -> Estimate:
    """Estimate a scoring run over the matching features from the prompts of eight of them.

    Args:
        batch: it is asked in batches, at their price.

    Raises:
        StoreError: the filter is not valid.
    """
    with session(engine) as work:
        items = plan_scores(work, extraction_id, wanted, config.judges, again=config.again)
        each = runs.seconds_a_score(work, config.judges)
    tried = 1 + (1.0 if len(_queued(items)) <= FEW else config.baseline)
    asked = _means(_queued(items), lambda item: _judging(engine, item, config), 3)
    characters, windows, answers = (tried * float(number) for number in asked)
    verdicts = (round(VERDICT[0] * windows), round(VERDICT[1] * windows))
    answer = tuple(round(answers * tokens) for tokens in _answer(config, (0, 0)))
    return _estimate(config, items, characters, answer if any(answer) else verdicts, each, batch)


def _estimate(config: RunConfig, items: list[dict], characters: float, answer: tuple[int, int],
              each: float | None, batch: bool) -> Estimate:
    """
    Args:
        characters: mean length of a feature's prompts.
        answer: tokens of a feature's answers, few and many.
        each: seconds for a feature, None when not known.
    """
    count = len(_queued(items))
    prompt = tuple(round(count * characters / ratio) for ratio in CHARACTERS_PER_TOKEN)
    completion = tuple(count * tokens for tokens in answer)
    costs = [price(config, *tokens, batch=batch) for tokens in zip(prompt, completion, strict=True)]
    width = config.concurrency or CONCURRENCY.get(config.provider, 1)
    return Estimate(
        features=count, skipped=len(items) - count, prompt_tokens=prompt, completion_tokens=completion,
        cost=None if None in costs else (costs[0], costs[1]), free=config.provider in FREE,
        seconds=None if each is None or batch else each * count / width)


def _answer(config: RunConfig, usual: tuple[int, int]) -> tuple[int, int]:
    return REASONING if config.provider == "openai" and config.model.startswith(REASONING_MODELS) else usual


def _queued(items: list[dict]) -> list[dict]:
    return [item for item in items if item["state"] == "queued"]


def _means(items: list[dict], numbers: Callable[[dict], list[int]], width: int) -> np.ndarray:
    """Means ``[width]`` of what is told of items spread evenly through the run."""
    told = []
    if items:
        for place in np.unique(np.linspace(0, len(items) - 1, SAMPLED).round().astype(int)):
            with suppress(NoEvidence):
                told.append(numbers(items[place]))
    return np.mean(told, axis=0) if told else np.zeros(width)


def _judging(engine: Engine, item: dict, config: ScoreConfig) -> list[int]:
    """Characters of all prompts that ask about a label, windows in them, and calls."""
    with session(engine) as work:
        label, feature = work.get_one(Label, item["label_id"]), work.get_one(Feature, item["feature_id"])
        material = material_of(work, work.get_one(Extraction, feature.extraction_id))
        trials = draw_trials(work, feature, material, "test", config.active, config.silent, config.seed)
    judged = [method for method in config.judges if method in JUDGED]
    asking = [call for method in judged for call in judge_calls(method, label, None, trials, config)["own"]]
    return [sum(len(prompt.text) for prompt, _form in asking),
            sum(len(shown_in(method, trials)) for method in judged), len(asking)]
