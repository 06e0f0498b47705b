"""New labels of one feature for a person to choose from, tried by meaning on the same windows, without a judge.

Choosing looks at the select split alone; the label that was chosen is then measured on the test split too.
"""

from collections.abc import Collection
from dataclasses import replace

from sqlalchemy import Engine

from mistudio.access import require_write
from mistudio.errors import MistudioError
from mistudio.jobs.candidates import Maker
from mistudio.jobs.contest import Contest
from mistudio.label.ask import Asked
from mistudio.label.config import LabelConfig
from mistudio.label.providers import Provider
from mistudio.store import Label, session
from mistudio.store.items import store_labels
from mistudio.store.scores import add_score, scores_of

METHOD = "embedding"


def propose(engine: Engine, feature_id: int, config: LabelConfig, provider: Provider, *,
            different: bool = True) -> list[Label]:
    """Ask for labels and store them beside the feature's others, best first; none of them becomes current.

    Args:
        different: base them on other examples than the feature's earlier labels, while there are others
            (``label.evidence["note"]`` says when there were not enough).

    Raises:
        MistudioError: the feature has nothing to show, the provider failed, or its reply cannot be read.
    """
    require_write()  # before anybody is asked, and paid
    made = Maker(engine, config, provider).make(feature_id, different=different)
    if not made.labels:
        raise made.error
    with session(engine) as work:
        store_labels(work, [replace(made.outcome(), current=False)])
    return [label for label, _scores in reversed(made.labels)]


def try_labels(engine: Engine, feature_id: int, label_ids: Collection[int], split: str) -> str:
    """Score labels of a feature on one split, where they have no such score yet, and store what comes of it.

    Args:
        split: ``select`` or ``test``.

    Returns:
        Why a label has no score; empty when each has one.
    """
    with session(engine) as work:
        labels = [work.get_one(Label, label_id) for label_id in label_ids]
        missing = [label for label in labels
                   if not any((score.method, score.split) == (METHOD, split) for score in scores_of(work, label.id))]
    if not missing:
        return ""
    try:
        contest = Contest(engine, LabelConfig(choose_by=METHOD), None, feature_id, Asked())
        scores = [(contest.score(label, split), label) for label in missing if not _was_shown(label, split)]
    except MistudioError as error:  # too few windows, or no encoder: the labels are there all the same
        return str(error)
    with session(engine) as work:
        for score, label in scores:
            if score is not None:
                add_score(work, score, work.get_one(Label, label.id))
    if any(score is None for score, _label in scores):
        return f"The feature has too few windows in the {split} split."
    return "" if len(scores) == len(missing) else "A revised label has seen the windows that it would be tried on."


def _was_shown(label: Label, split: str) -> bool:
    """Whether the labeler was shown windows of this split: what a revision got wrong comes from the select split."""
    return split == "select" and bool((label.evidence or {}).get("revision"))
