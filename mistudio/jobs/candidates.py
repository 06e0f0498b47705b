"""The label of one feature: ask for it, and store what came of asking."""

from dataclasses import dataclass, field

from sqlalchemy import Engine

from mistudio.errors import MistudioError
from mistudio.label.ask import Asked, ask
from mistudio.label.config import LabelConfig
from mistudio.label.cost import price
from mistudio.label.evidence import Evidence
from mistudio.label.one import LABEL, evidence_for, label_from
from mistudio.label.prompts import Prompt, render
from mistudio.label.providers import Provider
from mistudio.store import Label, Score
from mistudio.store.items import Outcome


@dataclass
class Made:
    """New labels of a feature with their scores, the chosen one last; or none, and the reason why."""

    labels: list[tuple[Label, list[Score]]] = field(default_factory=list)
    asked: Asked = field(default_factory=Asked)
    cost: float | None = None

    @property
    def error(self) -> MistudioError | None:
        return self.asked.error

    def outcome(self) -> Outcome:
        """What a run stores of it."""
        used = {"asked": True, "prompt_tokens": self.asked.prompt_tokens, "cost": self.cost,
                "completion_tokens": self.asked.completion_tokens}
        if not self.labels:
            return Outcome("failed", reason_kind=self.asked.kind, reason=str(self.error), reply=self.asked.reply,
                           **used)
        return Outcome(labels=self.labels, text=self.labels[-1][0].text, **used)


@dataclass(frozen=True)
class Shown:
    """What a feature's label is asked with."""

    feature_id: int
    evidence: Evidence
    prompt: Prompt


class Maker:
    """Makes labels as a config says; from several threads at a time."""

    def __init__(self, engine: Engine, config: LabelConfig, provider: Provider, run_id: int | None = None):
        self.engine, self.config, self.provider, self.run_id = engine, config, provider, run_id

    def make(self, feature_id: int, *, different: bool = False) -> Made:
        """Ask for a label of a feature.

        Args:
            different: show other examples than earlier labels were based on, while there are others.

        Raises:
            NoEvidence: there is nothing to show.
            ProviderSetupError: no prompt can succeed until the user changes something.
        """
        return self.ask(self.show(feature_id, different=different))

    def show(self, feature_id: int, *, different: bool = False) -> Shown:
        """What ``make`` asks with. Raises: NoEvidence."""
        evidence = evidence_for(self.engine, feature_id, self.config, different=different)
        return Shown(feature_id, evidence, render(evidence, self.provider.template))

    def ask(self, shown: Shown) -> Made:
        """Ask for one label. Raises: ProviderSetupError."""
        asked = ask(self.provider, shown.prompt, LABEL)
        made = Made(asked=asked, cost=price(self.config, asked.prompt_tokens, asked.completion_tokens))
        if asked.answer is not None:
            made.labels.append((label_from(asked, feature_id=shown.feature_id, evidence=shown.evidence,
                                           prompt=shown.prompt, provider=self.provider, config=self.config,
                                           run_id=self.run_id), []))
        return made
