"""What a distillation can be told. The page, the shell and the adapter's card all use this one object."""

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from mistudio.config import JobConfig, plain_address
from mistudio.demo.fetch import MODEL_NAME

RANK = 16


class DistillConfig(JobConfig):
    """Options of a distillation. The judge's API key is never one of them."""

    base: str = Field(MODEL_NAME, min_length=1, description="The model that learns: a folder or Hugging Face id of any "
                      "causal or chat model, or the demo's.")
    labels: Literal["approved", "current"] = Field(
        "approved", description="Which labels to learn from: approved (those that a person wrote or approved), or "
        "current (also those that nobody has judged, but for the embedded labeler's own).")
    min_score: float | None = Field(None, ge=0, le=1, description="Only labels that score at least this on the test "
                                    "split; scored or not if unset.")
    most: int = Field(2000, ge=30, description="Most labels to learn from; of more, a hash of their features' "
                      "index chooses some.")
    held_out: float = Field(0.2, gt=0, le=0.5, description="Share of the features that are never trained on, and "
                            "measure the result.")
    epochs: int = Field(4, ge=1, le=100, description="Passes over the labels, each with other windows.")
    batch_size: int = Field(8, ge=1, le=256, description="Labels in one step of training; fewer need less memory.")
    learning_rate: float = Field(5e-4, gt=0, le=0.1, description="Learning rate at its highest.")
    fresh: bool = Field(False, description="On the demo's model begin with an untrained adapter, not with the shipped "
                        "one, which knows the task already.")
    rank: int | None = Field(None, ge=1, le=256, description=f"Rank of an adapter that begins untrained; {RANK} if "
                             "unset.")
    seed: int = Field(0, ge=0, description="Seed of every random choice.")
    checkpoint_seconds: float = Field(60, ge=0, description="Seconds between checkpoints, from which a stopped "
                                      "training goes on.")
    judge: Literal["none", "openai", "ollama"] = Field(
        "none", description="Who also judges the labels by detection: openai (or a server that speaks its protocol), "
        "ollama, or none.")
    judge_model: str = Field("", description="Name of the judge's model.")
    judge_base_url: str | None = Field(None, description="Address of the judge's server, when it is not the usual one.")

    _plain = field_validator("judge_base_url")(plain_address)

    @property
    def begins_from_shipped(self) -> bool:
        """Whether training goes on from the shipped adapter."""
        return self.base == MODEL_NAME and not self.fresh

    @model_validator(mode="after")
    def _one_rank(self) -> Self:
        if self.rank is not None and self.begins_from_shipped:
            raise ValueError("the shipped adapter has a rank of its own: begin afresh (fresh) to choose one")
        return self
