"""Neuronpedia's export layout: a folder for each source (an SAE at one hook point), with batches of gzipped JSONL.

    {model}/{source}/features/batch-0.jsonl.gz        rows of its table Neuron
    {model}/{source}/activations/batch-0.jsonl.gz     rows of its table Activation, in any order
    {model}/{source}/explanations/batch-0.jsonl.gz    rows of its table Explanation
    {model}/{source}/{release,model,sourceset,source}.jsonl

The format is that of hijohnnylin/neuronpedia (its database schema, its export script, and the import route of its web
application); columns are named as there. Only what those files say is taken in, and other columns are ignored.
"""

import json
from itertools import pairwise
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from mistudio.errors import ExchangeError
from mistudio.exchange.features import Incoming, Told
from mistudio.exchange.features_jsonl import one_a_token
from mistudio.exchange.lines import (
    MOST_LISTED,
    Activations,
    Amount,
    Description,
    Index,
    Line,
    Read,
    Short,
    Text,
    Token,
    Tokens,
    Weight,
    read_lines,
)
from mistudio.exchange.rows import Indexed
from mistudio.model.hook_point import parse_hook_point
from mistudio.store.examples import SOURCES, SPLITS

TOP, RANDOM = (SOURCES.index(name) for name in ("top", "random"))
# A whole bin of this content holds the strongest windows; other bins are a sample across strengths.
TOP_BIN = -1
# Their indices are texts.
Number = Annotated[Index, Field(strict=False)]
Names = Annotated[list[Token], Field(max_length=MOST_LISTED)] | None
Weights = Annotated[list[Weight], Field(max_length=MOST_LISTED)] | None


class _Row(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True, protected_namespaces=())

    modelId: Short
    layer: Short
    index: Number


class FeatureRow(_Row):
    """What is read of a row of Neuron."""

    maxActApprox: Amount | None = None
    frac_nonzero: Annotated[Amount, Field(le=1)] | None = None
    freq_hist_data_bar_heights: Weights = None
    freq_hist_data_bar_values: Weights = None
    pos_str: Names = None
    pos_values: Weights = None
    neg_str: Names = None
    neg_values: Weights = None
    hookName: Short | None = None


class ActivationRow(_Row):
    """What is read of a row of Activation."""

    tokens: Tokens
    values: Activations
    binContains: Weight | None = None
    dataIndex: Text | None = None

    @field_validator("values")
    @classmethod
    def _one_a_token(cls, value: list[float], info: ValidationInfo) -> list[float]:
        return one_a_token(value, info)


class ExplanationRow(_Row):
    """What is read of a row of Explanation."""

    description: Description
    authorId: Short | None = None
    explanationModelName: Short | None = None
    notes: Annotated[str, Field(max_length=1 << 20)] | None = None


class SourceRow(BaseModel):
    """What is read of ``source.jsonl``."""

    model_config = ConfigDict(extra="ignore", strict=True)

    dataset: Short | None = None
    num_prompts: Index | None = None
    num_tokens_in_prompt: Index | None = None


class Notes(BaseModel):
    """What our export writes, as JSON, into the column ``notes`` of an explanation: what has no column there."""

    model_config = ConfigDict(extra="ignore")

    explanation: Text = ""
    kind: Indexed = ""
    provider: Indexed = ""
    author: Short = ""
    scores: list[dict] = []


def read_neuronpedia(folder: Path, incoming: Incoming, on_read: Read) -> Told:
    """Take in a source's folder, or one that holds a single source.

    Raises:
        ExchangeError: there is no source or more than one, a file cannot be read, or a row does not fit.
    """
    try:
        source = _source(folder)
        batches = {name: _batches(source / name) for name in ROWS}
    except OSError as error:
        raise ExchangeError(f"{folder} cannot be read: {error.strerror}.", "Check its permissions.") from error
    told = _told(source, on_read)
    for name, (row, take) in ROWS.items():
        for path in batches[name]:
            for line in read_lines(path, on_read):
                fitted = line.fit(row)
                _same_source(line, fitted, told)
                take(line, fitted, incoming, told)
    return told


def _source(folder: Path) -> Path:
    places = (folder, *folder.glob("*"), *folder.glob("*/*"))
    found = sorted(place for place in places if any((place / name).is_dir() for name in ("features", "activations")))
    if len(found) != 1:
        raise ExchangeError(
            f"{folder.name} holds " + (f"{len(found)} sources: {', '.join(path.name for path in found[:5])}." if found
                                       else "no source: no folder features or activations."),
            "Name the folder of one source, {model}/{source}; it has the folders features and activations.")
    return found[0]


def _batches(folder: Path) -> list[Path]:
    """Batches in order of their number; a batch may come unpacked."""
    files = [path for path in folder.glob("*") if path.name.endswith((".jsonl", ".jsonl.gz"))]
    return sorted(files, key=lambda path: (len(path.name), path.name))


def _told(source: Path, on_read: Read) -> Told:
    told = Told()
    if (source / "source.jsonl").is_file():
        for line in read_lines(source / "source.jsonl", on_read):
            row = line.fit(SourceRow)
            told.corpus = row.dataset or ""
            told.tokens = (row.num_prompts or 0) * (row.num_tokens_in_prompt or 0) or None
    return told


def _same_source(line: Line, row: _Row, told: Told) -> None:
    for name, value, known in (("modelId", row.modelId, told.model), ("layer", row.layer, told.sae)):
        if known and value != known:
            raise line.error(name, f"is {value[:60]!r} where earlier lines have {known[:60]!r}")
    told.model, told.sae = row.modelId, row.layer


def _feature(line: Line, row: FeatureRow, incoming: Incoming, told: Told) -> None:
    if row.hookName and not told.hook_point:
        told.hook_point = str(parse_hook_point(row.hookName))
    given = {"density": row.frac_nonzero, "max_activation": row.maxActApprox, "histogram": _histogram(row),
             "promoted": _pairs(line, "pos", row.pos_str, row.pos_values),
             "suppressed": _pairs(line, "neg", row.neg_str, row.neg_values)}
    if told.tokens and row.frac_nonzero is not None:
        given["active_tokens"] = round(row.frac_nonzero * told.tokens)
    if not incoming.staged.give(row.index, {name: value for name, value in given.items() if value is not None}):
        raise line.error("index", f"feature {row.index} stands on an earlier line too")


def _pairs(line: Line, name: str, tokens: Names, weights: Weights) -> list[tuple[str, float]]:
    if len(tokens or ()) != len(weights or ()):
        raise line.error(f"{name}_values", f"has {len(weights or ())} numbers for {len(tokens or ())} tokens")
    return list(zip(tokens or (), weights or (), strict=True))


def _histogram(row: FeatureRow) -> list[tuple[float, float, int]]:
    """Bins around the bars' places; none where these do not rise or the bars count nothing."""
    places, heights = row.freq_hist_data_bar_values or [], row.freq_hist_data_bar_heights or []
    rising = all(low < high for low, high in pairwise(places))
    if len(places) < 2 or len(places) != len(heights) or not rising or min(heights) < 0:
        return []
    edges = [(low + high) / 2 for low, high in pairwise(places)]
    edges = [max(2 * places[0] - edges[0], 0.0), *edges, 2 * places[-1] - edges[-1]]
    return [(edges[at], edges[at + 1], round(height)) for at, height in enumerate(heights)]


def _activation(_line: Line, row: ActivationRow, incoming: Incoming, _told: Told) -> None:
    split, _sign, document = (row.dataIndex or "").partition(":")
    # As our own export writes it; an explanation must not be judged on what it was made from.
    if split in SPLITS and document.isdecimal() and int(document[:20]) < 2**63:
        text = incoming.split_text(row.tokens, int(document[:20]), SPLITS.index(split))
    else:
        text = incoming.text(row.tokens, row.dataIndex)
    incoming.window(row.index, text, row.values, TOP if row.binContains in (None, TOP_BIN) else RANDOM)


def _explanation(_line: Line, row: ExplanationRow, incoming: Incoming, _told: Told) -> None:
    if not row.description.strip():
        return incoming.staged.touch(row.index)
    notes = _notes(row.notes)
    incoming.staged.add_label(row.index, {
        "text": row.description.strip(), "explanation": notes.explanation, "kind": notes.kind,
        "provider": notes.provider, "model": row.explanationModelName or "",
        "author": notes.author or row.authorId or ""})


def _notes(text: str | None) -> Notes:
    """Our own notes; empty ones where somebody else wrote something."""
    try:
        return Notes.model_validate(json.loads(text or "{}"))
    except (ValueError, RecursionError):
        return Notes()


ROWS = {"features": (FeatureRow, _feature), "activations": (ActivationRow, _activation),
        "explanations": (ExplanationRow, _explanation)}
