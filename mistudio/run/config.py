"""What every run can be told: who answers, how fast, and how much it may use."""

from typing import Self

from pydantic import Field, field_validator

from mistudio.config import JobConfig, plain_address


class RunConfig(JobConfig):
    """Options of any run. An API key is never one of them: keys are handed over apart and never stored."""

    provider: str
    model: str = Field("", description="Name of the model as the provider knows it; embedded needs none, or takes "
                       "the name of an adapter of your own.")
    base_url: str | None = Field(None, description="Address of the server, when it is not the provider's usual one.")
    concurrency: int | None = Field(None, ge=1, le=64, description="Most calls at a time; the provider's default if "
                                    "unset. Fewer while the server limits the rate.")
    temperature: float | None = Field(None, ge=0, le=2, description="Sampling temperature; sent only if set. The "
                                      "embedded labeler takes the likeliest words if unset or 0.")
    seed: int = Field(0, ge=0, description="Seed for choosing windows.")
    timeout: float = Field(60, gt=0, le=3600, description="Seconds to wait for one answer.")
    budget_dollars: float | None = Field(None, gt=0, description="Pause before more than so many US dollars are spent.")
    budget_tokens: int | None = Field(None, gt=0, description="Pause before more than so many tokens are used.")

    _plain = field_validator("base_url")(plain_address)

    @classmethod
    def stored(cls, config: dict) -> Self:
        """The config that a run was started with, from what its row holds."""
        return cls(**{name: value for name, value in config.items() if name in cls.model_fields})
