"""Labeling runs: queue them, work on them, and label a single feature."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine
from sqlmodel import Session

from mistudio.access import require_write, visitor
from mistudio.errors import MistudioError, StoreError
from mistudio.jobs.candidates import Made, Maker, Shown
from mistudio.jobs.contest import check_contest
from mistudio.label.answer import LabelAnswer
from mistudio.label.ask import Question
from mistudio.label.config import LabelConfig
from mistudio.label.cost import check_budget
from mistudio.label.factual import factual_label
from mistudio.label.material import NoEvidence
from mistudio.label.one import label_question, template_of
from mistudio.label.prompts import Prompt
from mistudio.label.providers import IN_PROCESS, Provider
from mistudio.run.job import guarded
from mistudio.store import Label, runs, session
from mistudio.store.extractions import get_extraction
from mistudio.store.features import FeatureFilter, Read, get_feature, read_features
from mistudio.store.items import PROTECTED, Item, Outcome, store_labels
from mistudio.store.labels import is_protected
from mistudio.store.plans import plan_labels

WAIT = 30  # seconds, for the place that visitors share
_place = threading.Lock()


def start_run(engine: Engine, extraction_id: int, config: LabelConfig, wanted: FeatureFilter) -> int:
    """Queue a run over the matching features. Nothing is asked yet.

    Dead and rare features are skipped with a reason, and so are labels that a person wrote or approved, unless the
    config replaces them.

    Returns:
        The run's id, for ``work.work_run`` or ``background.launch``.

    Raises:
        MistudioError: there is no such extraction, no feature matches, or the budget cannot be kept.
    """
    check_budget(config)
    check_contest(config)
    template_of(config)  # one that cannot be used stops the run here, not at every feature
    with session(engine) as work:
        get_extraction(work, extraction_id)
        items = plan_labels(extraction_id, wanted, replace_human=config.replace_human)
        if not work.exec(items.limit(1)).first():
            raise StoreError("No feature matches, so there is nothing to label.", "Choose other features.")
        stored = config.model_dump() | {"wanted": wanted.as_dict()}
        return runs.create_run(work, extraction_id, stored, items).id


def label_one(engine: Engine, extraction_id: int, index: int, config: LabelConfig, provider: Provider, *,
              different: bool = False) -> Label:
    """Label one feature now.

    A label that a person wrote or approved stays current unless ``config.replace_human`` is set; the new one is then
    only in the feature's history.

    Args:
        different: base it on other examples than the feature's earlier labels, while there are others
            (``label.evidence["note"]`` says when there were not enough).

    Raises:
        MistudioError: the feature has nothing to show, the provider failed, or its reply cannot be read.
    """
    require_write()  # before anybody is asked, and paid
    return keep(engine, try_one(engine, extraction_id, index, config, provider, different=different), config)


def try_one(engine: Engine, extraction_id: int, index: int, config: LabelConfig, provider: Provider, *,
            different: bool = False) -> Made:
    """Ask for a label of one feature as a run would, and store nothing.

    Args:
        different: as for ``label_one``.

    Returns:
        What ``keep`` stores; or no label, the reason why, and the reply.

    Raises:
        MistudioError: the feature has nothing to show, or no prompt can succeed until the user changes something.
    """
    with session(engine) as work:
        feature, _label = get_feature(work, extraction_id, index)
    fact = factual_label(feature) if config.factual and not different else None
    if fact:
        return Made(labels=[(fact, [])])
    with _one_at_a_time(config):
        return Maker(engine, config, provider).make(feature.id, different=different)


@contextmanager
def _one_at_a_time(config: LabelConfig) -> Iterator[None]:
    """Visitors who may not write share one place on this machine's processor."""
    shared = config.provider in IN_PROCESS and not visitor().may_write
    if shared and not _place.acquire(timeout=WAIT):
        raise MistudioError("Others are trying features right now.", "Try again in a moment.")
    try:
        yield
    finally:
        if shared:
            _place.release()


def keep(engine: Engine, made: Made, config: LabelConfig) -> Label:
    """Store what was tried, as ``label_one`` does. Returns the label that was chosen.

    Raises:
        MistudioError: there is no label, for the reason that this says.
    """
    if not made.labels:
        raise made.error
    with session(engine) as work:
        store_labels(work, [made.outcome()], replace_protected=config.replace_human)
    return made.kept or made.labels[-1][0]


class LabelJob:
    """What a labeling run does with a feature."""

    def __init__(self, engine: Engine, run_id: int, config: LabelConfig, provider: Provider):
        self.engine, self.run_id, self.config, self.provider = engine, run_id, config, provider
        self.maker = Maker(engine, config, provider, run_id)
        self.concurrency, self.replace_human = provider.default_concurrency, config.replace_human

    def rate_limits(self) -> int:
        return self.provider.rate_limits

    def prepare(self, items: list[Item]) -> list[Shown | Outcome]:
        """What to ask with, or why nothing is to be asked."""
        with session(self.engine) as work:
            read = read_features(work, [item.feature_id for item in items])
            return [guarded(lambda item: self._prepare(work, read[item.feature_id]), item) for item in items]

    def _prepare(self, work: Session, read: Read) -> Shown | Outcome:
        if not self.config.replace_human and is_protected(read.label):
            return Outcome("skipped", reason_kind="protected", reason=PROTECTED)
        if self.config.factual and (fact := factual_label(read.feature, self.run_id)):
            return Outcome(labels=[(fact, [])], text=fact.text)
        try:
            return self.maker.shown(work, read.feature)
        except NoEvidence as error:
            return Outcome("skipped", reason_kind="no examples", reason=str(error))

    def calls(self, shown: Shown) -> dict[str, tuple[Prompt, Question[LabelAnswer]]]:
        """Everything that will be asked, by a name."""
        return {"label": (shown.prompt, label_question(shown.prompt))}

    def ask(self, shown: Shown) -> Outcome:
        """The label."""
        return self.maker.ask(shown).outcome()
