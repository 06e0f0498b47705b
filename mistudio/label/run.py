"""The run loop: a few calls in flight at any time, each answer committed on its own as it lands.

A killed process loses only the calls in flight: their items are still queued, and resuming takes them up.
"""

import logging
import os
import socket
import time
import uuid
from collections import deque
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from sqlalchemy import Engine

from mistudio.errors import MistudioError, ProviderError, ProviderSetupError, ReplyError, StoreError
from mistudio.label.ask import Asked, ask, evidence_for, label_from, template_of
from mistudio.label.config import LabelConfig
from mistudio.label.cost import price
from mistudio.label.evidence import NoEvidence
from mistudio.label.factual import factual_label
from mistudio.label.prompts import render
from mistudio.label.providers import Provider
from mistudio.store import Feature, Label, Run, runs, session
from mistudio.store.extractions import get_extraction
from mistudio.store.features import FeatureFilter, get_feature
from mistudio.store.labels import add_label, current_label, is_protected

log = logging.getLogger(__name__)
# How often a waiting loop looks up: a cancel is seen within this time. Seconds.
LOOK_UP = 0.5
BEAT = 2.0


@dataclass(frozen=True)
class RunProgress:
    """Where a run stands: items by state, and the item that was closed last (index None before the first).

    ``text`` is its label, or the reason why it has none.
    """

    counts: dict[str, int]
    index: int | None = None
    state: str = ""
    text: str = ""


@dataclass
class _Result:
    """What came of one item, not stored yet."""

    state: str = "done"
    label: Label | None = None
    reason_kind: str = ""
    reason: str = ""
    asked: Asked = field(default_factory=Asked)


OnProgress = Callable[[RunProgress], None]


def start_run(engine: Engine, extraction_id: int, config: LabelConfig, wanted: FeatureFilter) -> int:
    """Queue a run over the matching features. Nothing is asked yet.

    Dead and rare features are skipped with a reason, and so are labels that a person wrote or approved, unless the
    config replaces them.

    Returns:
        The run's id, for ``work_run`` or ``background.launch``.

    Raises:
        StoreError: there is no such extraction, or no feature matches.
    """
    template_of(config)  # one that cannot be used stops the run here, not at every feature
    with session(engine) as work:
        get_extraction(work, extraction_id)
        items = runs.plan_items(work, extraction_id, wanted, replace_human=config.replace_human)
        if not items:
            raise StoreError("No feature matches, so there is nothing to label.", "Choose other features.")
        stored = config.model_dump() | {"wanted": wanted.as_dict()}
        return runs.create_run(work, extraction_id, stored, items).id


def run_config(run: Run) -> LabelConfig:
    """The config a run was started with."""
    return LabelConfig(**{name: value for name, value in run.config.items() if name in LabelConfig.model_fields})


def work_run(engine: Engine, run_id: int, provider: Provider, on_progress: OnProgress | None = None) -> str:
    """Work on a run until its items are closed, it is cancelled, or the provider cannot go on.

    Returns:
        The run's state: done, cancelled, failed (its message says why; items left stay queued) or interrupted.

    Raises:
        StoreError: there is no such run, or another worker has it.
    """
    owner = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
    with session(engine) as work:
        config = run_config(runs.get_run(work, run_id))
        if not runs.take_lease(work, run_id, owner):
            raise StoreError(f"Run {run_id} is not waiting for a worker.",
                             "It is being worked on, or has ended; resume it or retry what failed.")
    state, message = "interrupted", "It was stopped before its end."
    try:
        state, message = _Loop(engine, run_id, owner, config, provider, on_progress).run()
    finally:
        with session(engine) as work:
            runs.release(work, run_id, owner, state, message)
    return state


def resume_run(engine: Engine, run_id: int) -> int:
    """Make an interrupted, cancelled or failed run wait for a worker again; what is done stays done.

    Returns:
        How many features are left to do.

    Raises:
        StoreError: there is no such run, or it is being worked on.
    """
    with session(engine) as work:
        return runs.reopen(work, run_id)


def retry_failed(engine: Engine, run_id: int) -> int:
    """As ``resume_run``, and queue the failed items again."""
    with session(engine) as work:
        return runs.reopen(work, run_id, failed_too=True)


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
    with session(engine) as work:
        feature, _label = get_feature(work, extraction_id, index)
    label = factual_label(feature) if config.factual and not different else None
    if label is None:
        evidence = evidence_for(engine, feature.id, config, different=different)
        prompt = render(evidence, template_of(config))
        asked = ask(provider, prompt)
        if asked.answer is None:
            raise asked.error
        label = label_from(asked, feature_id=feature.id, evidence=evidence, prompt=prompt, provider=provider,
                           config=config)
    with session(engine) as work:
        add_label(work, label, replace_protected=config.replace_human)
    return label


class _Loop:
    """One worker on one run. Calls happen in a pool of threads; only this thread writes."""

    def __init__(self, engine: Engine, run_id: int, owner: str, config: LabelConfig, provider: Provider,
                 on_progress: OnProgress | None):
        self.engine, self.run_id, self.owner = engine, run_id, owner
        self.config, self.provider, self.on_progress = config, provider, on_progress
        self.flying: dict[Future, tuple[int, int]] = {}
        self.todo: deque[tuple[int, int]] = deque()
        self.beaten = 0.0
        self.end: tuple[str, str] | None = None

    def run(self) -> tuple[str, str]:
        """State and message to leave the run in."""
        width = self.config.concurrency or self.provider.default_concurrency
        pool = ThreadPoolExecutor(width, thread_name_prefix=f"run-{self.run_id}")
        try:
            self._report(None, "", "")
            self._fill()
            while self.todo or self.flying:
                self._look_up()
                while self.todo and len(self.flying) < width and self.end is None:
                    item = self.todo.popleft()
                    self.flying[pool.submit(self._work_on, item)] = item
                if not self.flying:
                    break
                landed, _pending = wait(self.flying, timeout=LOOK_UP, return_when=FIRST_COMPLETED)
                for future in landed:
                    self._land(future)
                if not self.todo and not self.flying and self.end is None:
                    self._fill()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        return self.end or ("done", "")

    def _fill(self) -> None:
        """Items queued now: those of the start, or some requeued meanwhile."""
        with session(self.engine) as work:
            self.todo.extend(runs.queued_features(work, self.run_id))

    def _look_up(self) -> None:
        """Beat, and see whether somebody asked to stop."""
        with session(self.engine) as work:
            if time.monotonic() - self.beaten < BEAT:
                stop = runs.get_run(work, self.run_id).cancel
            else:
                stop = runs.beat(work, self.run_id, self.owner)
                self.beaten = time.monotonic()
        if stop and self.end is None:
            self.end = ("cancelled", "")
        elif stop is None:
            self.end = ("interrupted", "Another worker took over.")

    def _work_on(self, item: tuple[int, int]) -> _Result:
        """In a pool thread: everything up to, but without, writing."""
        feature_id, index = item
        try:
            with session(self.engine) as work:
                if not self.config.replace_human and is_protected(current_label(work, feature_id)):
                    return _Result("skipped", reason_kind="protected", reason=runs.PROTECTED)
                if self.config.factual and (fact := factual_label(work.get_one(Feature, feature_id), self.run_id)):
                    return _Result(label=fact)
            evidence = evidence_for(self.engine, feature_id, self.config)
            prompt = render(evidence, template_of(self.config))
            asked = ask(self.provider, prompt)
        except NoEvidence as error:
            return _Result("skipped", reason_kind="no examples", reason=str(error))
        except ProviderSetupError:
            raise
        except Exception as error:  # a defect on one feature must not end the run for all others
            log.exception("feature %s could not be labeled", index)
            return _Result("failed", reason_kind="defect", reason=f"{type(error).__name__}: {error}")
        if asked.answer is None:
            return _Result("failed", reason_kind=_kind(asked.error), reason=str(asked.error), asked=asked)
        label = label_from(asked, feature_id=feature_id, evidence=evidence, prompt=prompt, provider=self.provider,
                           config=self.config, run_id=self.run_id)
        return _Result(label=label, asked=asked)

    def _land(self, future: Future) -> None:
        feature_id, index = self.flying.pop(future)
        try:
            result = future.result()
        except ProviderSetupError as error:
            self.end = ("failed", str(error))
            return
        asked = result.asked
        usage = (asked.prompt_tokens, asked.completion_tokens,
                 price(self.config, asked.prompt_tokens, asked.completion_tokens))
        with session(self.engine) as work:
            written = runs.finish_item(
                work, self.run_id, feature_id, self.owner, label=result.label, state=result.state,
                reason_kind=result.reason_kind, reason=result.reason, usage=usage,
                reply="" if result.label else asked.reply, replace_protected=self.config.replace_human)
        if not written:
            self.end = ("interrupted", "Another worker took over.")
        else:
            self._report(index, result.state, result.label.text if result.label else result.reason)

    def _report(self, index: int | None, state: str, text: str) -> None:
        if self.on_progress:
            with session(self.engine) as work:
                counts = runs.run_counts(work, self.run_id)
            self.on_progress(RunProgress(counts, index, state, text))


def _kind(error: MistudioError | None) -> str:
    return error.kind if isinstance(error, ProviderError | ReplyError) else "other"
