"""Try labels of one feature on the same windows, so that the best can be kept."""

from contextlib import suppress

from sqlalchemy import Engine
from sqlmodel import Session

from mistudio.errors import MistudioError
from mistudio.label.ask import Asked
from mistudio.label.config import LabelConfig
from mistudio.label.material import NoEvidence, material_of
from mistudio.label.providers import Provider
from mistudio.score.config import JUDGED, ScoreConfig
from mistudio.score.methods import score_label
from mistudio.score.trials import Trials, draw_trials, halves
from mistudio.store import Extraction, Feature, Label, Score, session

# The select split keeps sixteen examples of a feature by default.
WINDOWS = 16


def check_contest(config: LabelConfig) -> None:
    """Refuse options that the embedded labeler cannot follow.

    Raises:
        MistudioError: it is to judge, or to revise.
    """
    if config.provider == "embedded" and config.compares and config.choose_by in JUDGED:
        raise MistudioError("The embedded labeler cannot judge labels.", "Choose by embedding, or another provider.")
    if config.provider == "embedded" and config.revise_below is not None:
        raise MistudioError("The embedded labeler cannot revise its labels.",
                            "Ask it for several candidates instead, or choose another provider.")


def contest_trials(work: Session, feature: Feature, config: LabelConfig, *, rough: bool = False) -> dict[str, Trials]:
    """What labels of a feature are tried on: ``select``, ``test`` where that split has enough windows, and where
    labels are revised the part of the select split that a revision is shown, ``revise``.

    Raises:
        NoEvidence: the select split has too few windows.
    """
    material = material_of(work, work.get_one(Extraction, feature.extraction_id))

    def draw(split: str) -> Trials:
        return draw_trials(work, feature, material, split, WINDOWS, WINDOWS, config.seed, rough=rough)

    trials = {"select": draw("select")}
    if config.revise_below is not None:
        # What a revision is shown can no longer tell whether it is better.
        trials["revise"], trials["select"] = halves(trials["select"])
    with suppress(NoEvidence):  # then there is no test score
        trials["test"] = draw("test")
    return trials


def judging_config(config: LabelConfig) -> ScoreConfig:
    """How the model that labels is asked to judge."""
    return ScoreConfig(provider=config.provider if config.choose_by in JUDGED else "none", model=config.model,
                       base_url=config.base_url, seed=config.seed, timeout=config.timeout)


class Contest:
    """Scores labels of one feature by the method that the config chooses by."""

    def __init__(self, engine: Engine, config: LabelConfig, provider: Provider, feature_id: int, total: Asked):
        """
        Args:
            total: where the tokens of judging are counted.

        Raises:
            NoEvidence: the select split has too few windows.
        """
        self.method, self.total, self.failure = config.choose_by, total, ""
        self.provider = provider if self.method in JUDGED else None
        self.config = judging_config(config)
        with session(engine) as work:
            self.trials = contest_trials(work, work.get_one(Feature, feature_id), config)

    def score(self, label: Label, split: str) -> Score | None:
        """The label's score on ``select``, ``test``, or the part of the select split that a revision is shown,
        ``revise``; None when the split is too small or the judge failed (``failure`` then says why)."""
        if split not in self.trials:
            return None
        score, asked = score_label(self.method, label, None, self.trials[split], split, self.config, self.provider)
        self.total.count(asked.prompt_tokens, asked.completion_tokens)
        if score is None:
            self.failure = str(asked.error)
        return score
