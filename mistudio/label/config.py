"""What a labeling run can be told. The page, the shell and the stored run all use this one object."""

from typing import Any, Literal

from pydantic import Field, model_validator

from mistudio.label.adapters import PREFIX
from mistudio.run.config import RunConfig

PROVIDERS = ("openai", "ollama", "embedded")


class LabelConfig(RunConfig):
    """Options of a labeling run."""

    provider: Literal["openai", "ollama", "embedded"] = Field(
        "embedded", description="What answers: openai (or any server that speaks its protocol), ollama, embedded, or "
        "embedded:NAME for an adapter of your own (distill makes them, adapters lists them).")
    examples: int = Field(20, ge=3, le=100, description="How many windows of text to show for each feature.")
    window: int | None = Field(None, ge=4, le=1024, description="How many tokens of text around a peak to show; all "
                               "that were stored if unset.")
    strategy: Literal["mixed", "top", "quantile"] = Field(
        "mixed", description="Which windows: mixed (a third strongest, the rest by strength), top, or quantile.")
    negatives: int = Field(5, ge=0, le=30, description="How many windows to show where the feature is silent "
                           "(the embedded labeler's prompt has none).")
    prompt: str = Field("", pattern=r"^[A-Za-z0-9_-]*$", description="Name of the prompt template: one that the "
                        "command prompts lists, or your own NAME.md in the data folder's prompts; the usual if empty.")
    hint: str | None = Field(None, max_length=300, description="A sentence of yours for the labeler, shown after the "
                             "evidence (the embedded labeler understands none).")
    candidates: int = Field(1, ge=1, le=8, description="Labels to ask for, from different windows; the best on the "
                            "select split is kept.")
    choose_by: Literal["embedding", "detection", "fuzzing"] = Field(
        "embedding", description="Which score tells the better label. By detection and fuzzing the same model judges, "
        "which takes more calls.")
    revise_below: float | None = Field(None, gt=0, le=1, description="Where the label scores less than this, show the "
                                       "model what it got wrong, ask again, and keep the better one.")
    keep_better: bool = Field(False, description="Keep the label that a feature has, unless a new one scores better: "
                              "for labeling the worst again with a larger model.")
    factual: bool = Field(False, description="Name features that are active on one token only by that token, without "
                          "asking.")
    replace_human: bool = Field(False, description="Also replace labels that a person wrote or approved.")

    @model_validator(mode="before")
    @classmethod
    def _adapter_by_name(cls, given: Any) -> Any:
        """``embedded:NAME`` is the provider ``embedded`` with the model NAME."""
        provider = given.get("provider") if isinstance(given, dict) else None
        if not isinstance(provider, str) or not provider.startswith(PREFIX):
            return given
        name = provider.removeprefix(PREFIX)
        if given.get("model") not in (None, "", name):
            raise ValueError(f"{provider} names the model already")
        return given | {"provider": "embedded", "model": name}

    @property
    def compares(self) -> bool:
        """Whether labels are tried on the select split before one is kept."""
        return self.candidates > 1 or self.revise_below is not None or self.keep_better
