"""The label of one feature: ask for one or several, try them on the select split, revise, and keep the best.

Choosing uses the select split alone, so the score on the test split, which is stored beside it, stays honest.
"""

from dataclasses import dataclass, field, replace
from functools import cached_property

from sqlalchemy import Engine
from sqlmodel import Session

from mistudio.errors import MistudioError
from mistudio.jobs.contest import Contest
from mistudio.label.ask import Asked, ask
from mistudio.label.config import LabelConfig
from mistudio.label.cost import price
from mistudio.label.evidence import Evidence
from mistudio.label.material import NoEvidence
from mistudio.label.one import evidence_of, label_from, label_question, template_of
from mistudio.label.prompts import Prompt, render, revise
from mistudio.label.providers import Provider
from mistudio.store import Feature, Label, Score, session
from mistudio.store.items import Outcome
from mistudio.store.labels import current_label


@dataclass
class Made:
    """New labels of a feature with their scores, the chosen one last; or none, and the reason why.

    ``kept`` is the label that the feature has, where it took part and was the best; ``kept_scores`` are its new scores.
    """

    labels: list[tuple[Label, list[Score]]] = field(default_factory=list)
    kept: Label | None = None
    kept_scores: list[Score] = field(default_factory=list)
    total: Asked = field(default_factory=Asked)
    cost: float | None = None

    @property
    def error(self) -> MistudioError | None:
        return self.total.error

    def outcome(self) -> Outcome:
        """What a run stores of it."""
        used = {"asked": True, "prompt_tokens": self.total.prompt_tokens, "cost": self.cost,
                "completion_tokens": self.total.completion_tokens}
        if not self.labels:
            return Outcome("failed", reason_kind=self.total.kind, reason=str(self.error), reply=self.total.reply,
                           **used)
        text = f"kept: {self.kept.text}" if self.kept else self.labels[-1][0].text
        return Outcome(labels=self.labels, current=self.kept is None, scores=self.kept_scores, text=text, **used)


@dataclass(frozen=True)
class Shown:
    """What a feature's label is asked with."""

    feature_id: int
    evidence: Evidence
    prompt: Prompt


@dataclass
class _Candidate:
    """A label with what it was made from; ``score`` is that of the select split."""

    label: Label
    shown: Shown | None = None
    score: Score | None = None


class Maker:
    """Makes labels as a config says; from several threads at a time."""

    def __init__(self, engine: Engine, config: LabelConfig, provider: Provider, run_id: int | None = None):
        self.engine, self.config, self.provider, self.run_id = engine, config, provider, run_id

    def make(self, feature_id: int, *, different: bool = False) -> Made:
        """Ask for a label of a feature, or for the best of several.

        Args:
            different: show other examples than earlier labels were based on, while there are others.

        Raises:
            NoEvidence: there is nothing to show.
            ProviderSetupError: no prompt can succeed until the user changes something.
        """
        return self.ask(self.show(feature_id, different=different), different=different)

    def show(self, feature_id: int, *, different: bool = False, number: int = 0) -> Shown:
        """What a candidate, the first or a later one, is asked for with. Raises: NoEvidence."""
        with session(self.engine) as work:
            return self.shown(work, work.get_one(Feature, feature_id), different=different, number=number)

    def shown(self, work: Session, feature: Feature, *, different: bool = False, number: int = 0) -> Shown:
        """As ``show``, for a feature that has been read already."""
        config = self.config.model_copy(update={"seed": self.config.seed + number}) if number else self.config
        evidence = evidence_of(work, feature, config, different=different)
        return Shown(feature.id, evidence, render(evidence, self._template))

    @cached_property
    def _template(self) -> str:
        return template_of(self.config)

    def ask(self, shown: Shown, *, different: bool = False) -> Made:
        """Ask for a label with this, and for others to compare it with where the config says so.

        Raises:
            ProviderSetupError: no prompt can succeed until the user changes something.
        """
        made = Made()
        contest, why = None, ""
        if self.config.compares:
            try:
                contest = Contest(self.engine, self.config, self.provider, shown.feature_id, made.total)
            except NoEvidence as error:
                why = error.message
        found = self._candidates(shown, self.config.candidates if contest else 1, different, made.total)
        if found:
            made.total.error = None
        if found and contest is None:
            if why:
                _note(found[0].label, why)
            made.labels = [(found[0].label, [])]
        elif found:
            self._choose(made, contest, found)
        made.cost = price(self.config, made.total.prompt_tokens, made.total.completion_tokens)
        return made

    def _candidates(self, first: Shown, count: int, different: bool, total: Asked) -> list[_Candidate]:
        """Labels from different draws of evidence, each text once; ``total`` has the last error where one failed."""
        found: list[_Candidate] = []
        for number in range(count):
            shown = self.show(first.feature_id, different=different, number=number) if number else first
            candidate = self._ask(shown, total)
            if candidate and all(candidate.label.text.casefold() != other.label.text.casefold() for other in found):
                found.append(candidate)
        return found

    def _ask(self, shown: Shown, total: Asked) -> _Candidate | None:
        asked = ask(self.provider, shown.prompt, label_question(shown.prompt))
        total.count(asked.prompt_tokens, asked.completion_tokens)
        if asked.answer is None:
            total.error, total.reply = asked.error, asked.reply
            return None
        label = label_from(asked, feature_id=shown.feature_id, evidence=shown.evidence, prompt=shown.prompt,
                           provider=self.provider, config=self.config, run_id=self.run_id)
        return _Candidate(label, shown)

    def _choose(self, made: Made, contest: Contest, found: list[_Candidate]) -> None:
        for candidate in found:
            candidate.score = contest.score(candidate.label, "select")
        best = max(found, key=_value)
        below = self.config.revise_below
        poor = below is not None and best.score is not None and best.score.value < below
        tried = contest.score(best.label, "revise") if poor else None
        if tried is not None and tried.misjudged:
            prompt = revise(best.shown.prompt, best.label.reply, tried.misjudged)
            again = self._ask(replace(best.shown, prompt=prompt), made.total)
            if again:
                again.label.evidence = {**again.label.evidence,
                                        "revision": [window["id"] for window in tried.misjudged]}
                again.score = contest.score(again.label, "select")
                found.append(again)
                best = max(found, key=_value)
        if self.config.keep_better:
            with session(self.engine) as work:
                before = current_label(work, best.shown.feature_id)
            old = _Candidate(before, score=contest.score(before, "select")) if before else None
            # One that the judge failed on is no worse for that: it stays, as nothing was found to be better.
            if old and (old.score is None or _value(old) >= _value(best)):
                made.kept = before
                made.kept_scores = self._scores(contest, old)
        if best.score is None:
            _note(best.label, contest.failure)
        found.sort(key=lambda candidate: candidate is best)
        made.labels = [(candidate.label, self._scores(contest, candidate, test=candidate is best and not made.kept))
                       for candidate in found]

    def _scores(self, contest: Contest, candidate: _Candidate, *, test: bool = True) -> list[Score]:
        scores = [candidate.score, contest.score(candidate.label, "test") if test else None]
        for score in filter(None, scores):
            score.label_id, score.run_id = candidate.label.id, self.run_id
        return [score for score in scores if score is not None]


def _note(label: Label, why: str) -> None:
    """Say beside the evidence why a label that was to be compared was not."""
    before = label.evidence.get("note", "")
    label.evidence = {**label.evidence, "note": f"{before} Nothing was compared: {why}".strip()}


def _value(candidate: _Candidate) -> float:
    """What a candidate is chosen by; one that could not be scored comes last."""
    return candidate.score.value if candidate.score is not None else -1.0
