"""What a run will take, before it starts: ranges, from real prompts of some of its features."""

from dataclasses import dataclass

import numpy as np
from sqlalchemy import Engine

from mistudio.label.ask import evidence_for, template_of
from mistudio.label.config import LabelConfig
from mistudio.label.cost import price
from mistudio.label.evidence import NoEvidence
from mistudio.label.prompts import render
from mistudio.label.providers import CONCURRENCY, FREE
from mistudio.store import runs, session
from mistudio.store.features import FeatureFilter

SAMPLED = 8
# English prose runs to about 4.5 characters a token, code and marks to about 2.8; no tokenizer is loaded for this.
CHARACTERS_PER_TOKEN = (4.5, 2.8)
# Tokens of an answer: a bare label, a JSON answer, and what a reasoning model thinks before it.
BARE, ANSWER, REASONING = (3, 16), (40, 140), (150, 1500)
REASONING_MODELS = ("gpt-5", "o1", "o3", "o4")


@dataclass(frozen=True)
class Estimate:
    """Each range is ``(low, high)`` for the whole run.

    ``features`` will be labeled and ``skipped`` not. ``cost`` is US dollars, None when the price is not known;
    ``free`` says that the model runs on one's own machine and there is no price. ``seconds`` is None until the model
    has answered at least once.
    """

    features: int
    skipped: int
    prompt_tokens: tuple[int, int]
    completion_tokens: tuple[int, int]
    cost: tuple[float, float] | None
    free: bool
    seconds: float | None


def estimate(engine: Engine, extraction_id: int, config: LabelConfig, wanted: FeatureFilter) -> Estimate:
    """Estimate a run over the matching features from the prompts of eight of them.

    Raises:
        StoreError: the filter is not valid.
    """
    with session(engine) as work:
        items = runs.plan_items(work, extraction_id, wanted, replace_human=config.replace_human)
        each = runs.seconds_a_label(work, config.provider, config.model)
    queued = [item["feature_id"] for item in items if item["state"] == "queued"]
    characters = _characters(engine, queued, config)
    prompt = tuple(round(len(queued) * characters / ratio) for ratio in CHARACTERS_PER_TOKEN)
    low, high = BARE if config.provider == "embedded" else ANSWER
    if config.provider == "openai" and config.model.startswith(REASONING_MODELS):
        low, high = REASONING
    completion = (low * len(queued), high * len(queued))
    costs = [price(config, *tokens) for tokens in zip(prompt, completion, strict=True)]
    width = config.concurrency or CONCURRENCY[config.provider]
    return Estimate(
        features=len(queued), skipped=len(items) - len(queued), prompt_tokens=prompt, completion_tokens=completion,
        cost=None if None in costs else (costs[0], costs[1]), free=config.provider in FREE,
        seconds=None if each is None else each * len(queued) / width)


def _characters(engine: Engine, feature_ids: list[int], config: LabelConfig) -> float:
    """Mean characters of a prompt, over features spread evenly through the run."""
    if not feature_ids:
        return 0.0
    places = np.unique(np.linspace(0, len(feature_ids) - 1, SAMPLED).round().astype(int))
    lengths = []
    for place in places:
        try:
            evidence = evidence_for(engine, feature_ids[place], config, rough=True)
            lengths.append(len(render(evidence, template_of(config)).text))
        except NoEvidence:
            continue
    return float(np.mean(lengths)) if lengths else 0.0
