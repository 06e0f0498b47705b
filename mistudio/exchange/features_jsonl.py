"""The features file: JSONL with a window, or what is known of a feature, on a line (docs/features-file.md)."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from mistudio.exchange.features import Incoming, Told
from mistudio.exchange.lines import (
    MOST_LISTED,
    Activations,
    Amount,
    Index,
    Line,
    Name,
    Read,
    Text,
    Token,
    Tokens,
    Weight,
    read_lines,
)
from mistudio.store.examples import SOURCES
from mistudio.store.staging import SILENT

STATISTICS = ("density", "active_tokens", "max_activation", "mean_activation", "histogram", "promoted", "suppressed")


Bin = Annotated[tuple[Amount, Amount, Annotated[int, Field(ge=0, lt=2**63)]], Field(strict=False)]
Promoted = Annotated[tuple[Token, Weight], Field(strict=False)]
Bins = Annotated[list[Bin], Field(max_length=MOST_LISTED)]
Weighed = Annotated[list[Promoted], Field(max_length=MOST_LISTED)]


class FeatureLine(BaseModel):
    """A line of one feature: a window, its statistics, a label, or several of these at once."""

    model_config = ConfigDict(extra="ignore", strict=True)

    index: Index
    tokens: Tokens | None = None
    activations: Activations | None = Field(None, validate_default=True)
    document: Text | None = None
    source: Literal["top", "random"] = "top"
    density: Annotated[Amount, Field(le=1)] | None = None
    active_tokens: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    max_activation: Amount | None = None
    mean_activation: Amount | None = None
    histogram: Bins | None = None
    promoted: Weighed | None = None
    suppressed: Weighed | None = None
    label: Name | None = None
    explanation: Text = ""

    @field_validator("activations")
    @classmethod
    def _one_a_token(cls, value: list[float] | None, info: ValidationInfo) -> list[float] | None:
        return one_a_token(value, info)


class ReferenceLine(BaseModel):
    """A line without index: a text and everything active in it."""

    model_config = ConfigDict(extra="ignore", strict=True)

    tokens: Tokens
    activations: dict[Annotated[Index, Field(strict=False)], Activations]
    document: Text | None = None

    @field_validator("activations")
    @classmethod
    def _one_a_token(cls, value: dict[int, list[float]], info: ValidationInfo) -> dict[int, list[float]]:
        for values in value.values():
            one_a_token(values, info)
        return value


def one_a_token(values: list[float] | None, info: ValidationInfo) -> list[float] | None:
    """A check of a row's activations against its ``tokens``, which stand before them."""
    if "tokens" in info.data and (tokens := len(info.data["tokens"] or ())) != len(values or ()):
        raise ValueError(f"has {len(values or ())} numbers for {tokens} tokens")
    return values


def read_jsonl(path: Path, incoming: Incoming, on_read: Read) -> Told:
    """Take in a features file.

    Raises:
        ExchangeError: it cannot be read, or a line does not fit; names line and field.
    """
    for line in read_lines(path, on_read):
        if "index" in line.record:
            _take(line, line.fit(FeatureLine), incoming)
        else:
            row = line.fit(ReferenceLine)
            text = incoming.text(row.tokens, row.document, complete=True)
            for index, values in row.activations.items():
                incoming.window(index, text, values, SILENT)
    return Told()


def _take(line: Line, row: FeatureLine, incoming: Incoming) -> None:
    incoming.staged.touch(row.index)
    if row.tokens:
        text = incoming.text(row.tokens, row.document)
        incoming.window(row.index, text, row.activations, SOURCES.index(row.source))
    given = row.model_dump(include=set(STATISTICS), exclude_none=True)
    if given and not incoming.staged.give(row.index, given):
        raise line.error("index", f"statistics of feature {row.index} were given on an earlier line")
    if row.label:
        incoming.staged.add_label(row.index, {"text": row.label, "explanation": row.explanation})
