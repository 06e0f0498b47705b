"""What a labeling run can be told. The page, the shell and the stored run all use this one object."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from mistudio.errors import MistudioError

PROVIDERS = ("openai", "ollama", "embedded")


class LabelConfig(BaseModel):
    """Options of a labeling run. An API key is never one of them: keys are handed over apart and never stored."""

    # "model" is a word of the field here; pydantic would keep names that begin with "model_" for itself.
    model_config = ConfigDict(frozen=True, protected_namespaces=())

    provider: Literal["openai", "ollama", "embedded"] = Field(
        "embedded", description="What answers: openai (or any server that speaks its protocol), ollama, or embedded.")
    model: str = Field("", description="Name of the model as the provider knows it; the embedded one needs none.")
    base_url: str | None = Field(None, description="Address of the server, when it is not the provider's usual one.")
    examples: int = Field(20, ge=3, le=100, description="How many windows of text to show for each feature.")
    window: int | None = Field(None, ge=4, le=1024, description="How many tokens of text around a peak to show; all "
                               "that were stored if unset.")
    strategy: Literal["mixed", "top", "quantile"] = Field(
        "mixed", description="Which windows: mixed (a third strongest, the rest by strength), top, or quantile.")
    negatives: int = Field(5, ge=0, le=30, description="How many windows to show where the feature is silent "
                           "(the embedded labeler's prompt has none).")
    prompt: str = Field("", pattern=r"^[A-Za-z0-9_-]*$", description="Name of the prompt template: one that the "
                        "command prompts lists, or your own NAME.md in the data folder's prompts; the usual if empty.")
    concurrency: int | None = Field(None, ge=1, le=64, description="Calls at a time; the provider's default if unset.")
    temperature: float | None = Field(None, ge=0, le=2, description="Sampling temperature; sent only if set.")
    seed: int = Field(0, ge=0, description="Seed for choosing windows.")
    factual: bool = Field(False, description="Name features that are active on one token only by that token, without "
                          "asking.")
    replace_human: bool = Field(False, description="Also replace labels that a person wrote or approved.")
    timeout: float = Field(60, gt=0, le=3600, description="Seconds to wait for one answer.")

    @field_validator("base_url")
    @classmethod
    def _no_secret_in_the_address(cls, value: str | None) -> str | None:
        """The config is stored with the run and shown to everybody."""
        if value and "@" in value.split("//")[-1].split("/")[0]:
            raise ValueError("an address must not hold a user name or password")
        return (value or "").strip() or None

    @classmethod
    def checked(cls, **values) -> "LabelConfig":
        """A config from what a user typed.

        Raises:
            MistudioError: a value is out of range; the message names the option.
        """
        try:
            return cls(**values)
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"])
            field = cls.model_fields.get(name)
            raise MistudioError(f"The option {name} is not valid: {first['msg'].lower()}.",
                                (field.description or "") if field else "") from error
