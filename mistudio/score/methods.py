"""Score a label by one method or several, and the same windows with a wrong label beside it."""

import time
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mistudio.label.ask import Asked
from mistudio.label.cost import price
from mistudio.label.prompts.templates import load_template
from mistudio.label.providers import Provider
from mistudio.score.config import ScoreConfig
from mistudio.score.judge import TEMPLATES, Call, calls, judge
from mistudio.score.metrics import Quality, of_ranking, of_verdicts, recalls
from mistudio.score.trials import Trial, Trials, check_unseen
from mistudio.search.encoder import encode, encode_labels
from mistudio.store import Label, Score


@dataclass(frozen=True)
class Wrong:
    """Another feature's label, to try on the same windows."""

    text: str
    explanation: str


def judge_calls(method: str, label: Label, wrong: Wrong | None, trials: Trials,
                config: ScoreConfig) -> dict[str, list[Call]]:
    """What one score asks the judge: about the label (``own``), and about the wrong one where there is one (``wrong``).

    Args:
        method: ``detection`` or ``fuzzing``.
    """
    tried = {"own": label} | ({"wrong": wrong} if wrong is not None else {})
    return {whose: calls(method, each.text, each.explanation, shown_in(method, trials), config.per_call)
            for whose, each in tried.items()}


def shown_in(method: str, trials: Trials) -> tuple[Trial, ...]:
    """The windows that a method shows."""
    return trials.fuzzing if method == "fuzzing" else trials.detection


def score_label(method: str, label: Label, wrong: Wrong | None, trials: Trials, split: str, config: ScoreConfig,
                provider: Provider | None) -> tuple[Score | None, Asked]:
    """One score of a label, not stored yet; None when the judge failed, for the reason in the second value.

    Args:
        method: ``detection``, ``fuzzing`` or ``embedding``.
        wrong: a label for the baseline; None to leave that out.

    Raises:
        ProviderSetupError: no prompt can succeed until the user changes something.
    """
    shown = shown_in(method, trials)
    check_unseen(label, shown)
    if method == "embedding":
        return _near(label, wrong, shown, split, config), Asked()
    asking = judge_calls(method, label, wrong, trials, config)
    asked = judge(provider, asking["own"])
    if asked.answer is None:
        return None, asked
    baseline = None
    if wrong is not None:
        other = judge(provider, asking["wrong"])
        asked.count(other.prompt_tokens, other.completion_tokens)
        asked.seconds += other.seconds
        if other.answer is None:
            asked.answer, asked.error, asked.reply = None, other.error, other.reply
            return None, asked
        baseline = _quality(shown, other.answer).value
    score = _judged(method, asked.answer, shown, split, config, baseline)
    score.prompt_tokens, score.completion_tokens = asked.prompt_tokens, asked.completion_tokens
    score.cost, score.seconds = price(config, asked.prompt_tokens, asked.completion_tokens), asked.seconds
    return score, asked


def _judged(method: str, answers: list[bool], shown: tuple[Trial, ...], split: str, config: ScoreConfig,
            baseline: float | None) -> Score:
    """The score that a judge's verdicts make."""
    score = _score(method, _quality(shown, answers), shown, split, config, baseline)
    right, strength, decile = _columns(shown)
    score.recalls = recalls(right, np.array(answers), strength, decile)
    score.misjudged = [trial.record(answer) for trial, answer in zip(shown, answers, strict=True)
                       if trial.right != answer]
    score.prompt_hash = load_template(TEMPLATES[method]).hash
    return score


def _near(label: Label, wrong: Wrong | None, shown: tuple[Trial, ...], split: str, config: ScoreConfig) -> Score:
    started = time.monotonic()
    right, strength, _decile = _columns(shown)
    tried = [(label.text, label.explanation), *([(wrong.text, wrong.explanation)] if wrong else [])]
    near = encode_labels(tried) @ _encoded(tuple(trial.text for trial in shown)).T
    baseline = of_ranking(right, near[1], strength).value if wrong else None
    score = _score("embedding", of_ranking(right, near[0], strength), shown, split, config, baseline)
    # Read as a verdict: as many windows fit as are active, the nearest ones.
    fits = np.argsort(np.argsort(-near[0], kind="stable"), kind="stable") < right.sum()
    score.misjudged = [trial.record(bool(said)) for trial, said in zip(shown, fits, strict=True) if trial.right != said]
    score.seconds = time.monotonic() - started
    return score


@lru_cache(maxsize=128)
def _encoded(texts: tuple[str, ...]) -> np.ndarray:
    """Candidates for one feature are tried on the same windows: they are encoded once. 60 kB an entry."""
    return encode(list(texts))


def _score(method: str, quality: Quality, shown: tuple[Trial, ...], split: str, config: ScoreConfig,
           baseline: float | None) -> Score:
    return Score(method=method, judge=config.judges[method], split=split, value=quality.value, low=quality.low,
                 high=quality.high, weighted=quality.weighted, precision=quality.precision, recall=quality.recall,
                 baseline=baseline, n=len(shown),
                 evidence={"seed": config.seed, "windows": [trial.id for trial in shown]})


def _quality(shown: tuple[Trial, ...], answers: list[bool]) -> Quality:
    right, strength, _decile = _columns(shown)
    return of_verdicts(right, np.array(answers), strength)


def _columns(shown: tuple[Trial, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return (np.array([trial.right for trial in shown]), np.array([trial.strength for trial in shown]),
            np.array([trial.decile for trial in shown]))
