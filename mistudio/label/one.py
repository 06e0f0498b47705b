"""One feature: the evidence to show of it, the prompt, and the label that an answer becomes."""

from functools import partial
from pathlib import Path

from sqlalchemy import Engine
from sqlmodel import Session

from mistudio.access import visitor
from mistudio.errors import ProviderSetupError
from mistudio.label.answer import LabelAnswer, answer_schema, parse_reply
from mistudio.label.ask import Asked, Question
from mistudio.label.config import LabelConfig
from mistudio.label.cost import price
from mistudio.label.evidence import Evidence, build_evidence
from mistudio.label.prompts import COMPLETION, Prompt, render
from mistudio.label.prompts.templates import USUAL, label_template
from mistudio.label.providers import Provider
from mistudio.store import Extraction, Feature, Label, session
from mistudio.store.labels import history

_FORM = 'one JSON object with the keys "label" (at most 8 words), "explanation", "kind" and "confidence"'


def label_question(prompt: Prompt) -> Question[LabelAnswer]:
    """What is asked with a prompt for a label."""
    shown = "\n".join(message["content"] for message in prompt.messages if message["role"] == "user")
    return Question(answer_schema(), partial(parse_reply, evidence=shown), _FORM)


def evidence_for(engine: Engine, feature_id: int, config: LabelConfig, *, different: bool = False,
                 rough: bool = False) -> Evidence:
    """The evidence for a feature.

    Args:
        different: show no windows that earlier labels of the feature were based on, while others are left.
        rough: silent windows are any, not hard ones: enough for an estimate.

    Raises:
        NoEvidence: there is nothing to show.
    """
    with session(engine) as work:
        return evidence_of(work, work.get_one(Feature, feature_id), config, different=different, rough=rough)


def evidence_of(work: Session, feature: Feature, config: LabelConfig, *, different: bool = False,
                rough: bool = False) -> Evidence:
    """As ``evidence_for``, for a feature that has been read already."""
    extraction = work.get_one(Extraction, feature.extraction_id)
    labels = history(work, feature.id) if different else []
    shown = {window for label in labels for kind in ("examples", "negatives")
             for window in (label.evidence or {}).get(kind, [])}
    return build_evidence(work, extraction, feature, config, avoid=frozenset(shown), rough=rough)


def label_from(asked: Asked[LabelAnswer], *, feature_id: int, evidence: Evidence, prompt: Prompt, provider: Provider,
               config: LabelConfig, run_id: int | None = None) -> Label:
    """The row to store for an answer."""
    answer = asked.answer
    return Label(
        feature_id=feature_id, text=answer.label, explanation=answer.explanation, kind=answer.kind,
        confidence=answer.confidence, origin="llm", provider=provider.name, model=provider.model,
        prompt=prompt.template, prompt_hash=prompt.hash, evidence=evidence.record(), reply=asked.reply,
        prompt_tokens=asked.prompt_tokens, completion_tokens=asked.completion_tokens, seconds=asked.seconds,
        run_id=run_id, cost=price(config, asked.prompt_tokens, asked.completion_tokens), author=visitor().name)


def preview(engine: Engine, feature_id: int, config: LabelConfig, template: str | Path = "") -> Prompt:
    """The prompt that a feature would get, without asking anyone.

    Args:
        template: name or path of the prompt template; the config's when empty.

    Raises:
        NoEvidence: there is nothing to show.
        ProviderSetupError: the template cannot be used.
    """
    return render(evidence_for(engine, feature_id, config), template or template_of(config))


def template_of(config: LabelConfig) -> str:
    """The name of the prompt template that the config asks for.

    Raises:
        ProviderSetupError: it cannot be used, or the labeler cannot read the hint that is to stand in it.
    """
    if config.provider != "embedded":
        return label_template(config.prompt or USUAL).name
    if config.hint:
        raise ProviderSetupError("The embedded labeler understands no hint.",
                                 "Leave the hint empty, or choose another provider.", kind="prompt")
    if config.prompt not in ("", COMPLETION):
        raise ProviderSetupError("The embedded labeler was trained on its own prompt and understands no other.",
                                 "Choose no prompt, or another provider.", kind="prompt")
    return COMPLETION
