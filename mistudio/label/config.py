"""What a labeling run can be told. The page, the shell and the stored run all use this one object."""

from typing import Literal

from pydantic import Field

from mistudio.run.config import RunConfig

PROVIDERS = ("openai", "ollama", "embedded")


class LabelConfig(RunConfig):
    """Options of a labeling run."""

    provider: Literal["openai", "ollama", "embedded"] = Field(
        "embedded", description="What answers: openai (or any server that speaks its protocol), ollama, or embedded.")
    examples: int = Field(20, ge=3, le=100, description="How many windows of text to show for each feature.")
    window: int | None = Field(None, ge=4, le=1024, description="How many tokens of text around a peak to show; all "
                               "that were stored if unset.")
    strategy: Literal["mixed", "top", "quantile"] = Field(
        "mixed", description="Which windows: mixed (a third strongest, the rest by strength), top, or quantile.")
    negatives: int = Field(5, ge=0, le=30, description="How many windows to show where the feature is silent.")
    replace_human: bool = Field(False, description="Also replace labels that a person wrote or approved.")
