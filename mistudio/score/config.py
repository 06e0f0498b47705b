"""What a scoring run can be told. The page, the shell and the stored run all use this one object."""

from typing import Literal

from pydantic import Field

from mistudio.run.config import RunConfig
from mistudio.search.encoder import NAME as ENCODER

JUDGED = ("detection", "fuzzing")


class ScoreConfig(RunConfig):
    """Options of a scoring run. The judge is chosen apart from the labeler."""

    provider: Literal["none", "openai", "ollama"] = Field(
        "none", description="Who judges: openai (or any server that speaks its protocol), ollama, or none, which "
        "leaves the embedding score.")
    detection: bool = Field(True, description="Ask the judge which windows fit the label.")
    fuzzing: bool = Field(True, description="Ask the judge whether the right tokens are marked for the label.")
    embedding: bool = Field(True, description="Rank windows by how near they are to the label in meaning; asks nobody.")
    active: int = Field(20, ge=5, le=50, description="Windows where the feature is active, across its strengths.")
    silent: int = Field(20, ge=5, le=50, description="Windows where it is silent, half of them hard.")
    per_call: int = Field(10, ge=1, le=50, description="Windows a call shows to the judge.")
    baseline: float = Field(0.2, ge=0, le=1, description="Share of the features that are also judged with another "
                            "feature's label, to know what a wrong label scores; up to 20 features, all of them.")
    again: bool = Field(False, description="Also score labels that this judge has scored before.")

    @property
    def judges(self) -> dict[str, str]:
        """Who judges, by method."""
        judge = f"{self.provider} {self.model}".strip()
        wanted = {method: judge for method in JUDGED if self.provider != "none" and getattr(self, method)}
        return wanted | ({"embedding": ENCODER} if self.embedding else {})
