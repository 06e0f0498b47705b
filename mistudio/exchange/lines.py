"""Lines of JSON from files that may be broken or hostile: each is bounded, checked, and named when it does not fit."""

import gzip
import math
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, NamedTuple, TypeVar

from pydantic import AfterValidator, BaseModel, Field, StringConstraints, ValidationError
from pydantic_core import from_json

from mistudio.errors import ExchangeError
from mistudio.files import TooLong, bounded_lines
from mistudio.store.labels import LONGEST_EXPLANATION, LONGEST_LABEL

MOST_TOKENS = 4096
MOST_LISTED = 1000  # bins of a histogram, or output tokens
LARGEST_INDEX = 2**31 - 2

Read = Callable[[float, str], None]
Row = TypeVar("Row", bound=BaseModel)


def _storable(text: str) -> str:
    if "\0" in text:
        raise ValueError("holds a NUL character, which cannot be stored")
    return text


def _counting(values: list[float]) -> list[float]:
    # One test for all of them: a range for each costs as much as reading the line.
    if values and not (math.isfinite(sum(values)) and min(values) >= 0):
        at = next((at for at, value in enumerate(values) if not 0 <= value < math.inf), None)
        raise ValueError("adds up to more than a number holds" if at is None
                         else f"holds {values[at]} at place {at}, and activations are finite and not negative")
    return values


Index = Annotated[int, Field(ge=0, le=LARGEST_INDEX)]
Text = Annotated[str, StringConstraints(max_length=LONGEST_EXPLANATION), AfterValidator(_storable)]
Short = Annotated[str, StringConstraints(max_length=500), AfterValidator(_storable)]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_LABEL),
                 AfterValidator(_storable)]
# What may be empty where a name is only one of several columns.
Description = Annotated[str, StringConstraints(max_length=LONGEST_LABEL), AfterValidator(_storable)]
Token = Annotated[str, Field(max_length=1000)]
Tokens = Annotated[list[Token], Field(min_length=1, max_length=MOST_TOKENS)]
Activations = Annotated[list[float], Field(min_length=1, max_length=MOST_TOKENS), AfterValidator(_counting)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Weight = Annotated[float, Field(allow_inf_nan=False)]


class Line(NamedTuple):
    """One JSON object of a file, and where it stands."""

    file: str
    number: int
    record: dict

    def fit(self, row: type[Row]) -> Row:
        """The object as a checked row.

        Raises:
            ExchangeError: it does not fit; names file, line and field.
        """
        try:
            return row.model_validate(self.record)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False)[0]
            reason = first["msg"].removeprefix("Value error, ")
            field = ".".join(map(str, first["loc"])) or "?"
            raise self.error(field, f"{reason[:1].lower()}{reason[1:]} (got {_short(first['input'])})") from error

    def error(self, field: str, reason: str) -> ExchangeError:
        """What to raise when a field of this line is not right."""
        return ExchangeError(f"{self.file}, line {self.number}, field {field}: {reason}.",
                             "Correct that value; nothing was imported.")


def read_lines(path: Path, on_read: Read) -> Iterator[Line]:
    """The JSON objects of a ``.jsonl`` file, gzipped or not, one line in memory at a time; empty lines are left out.

    Args:
        on_read: called now and then with the share of the file that is read, and where in it.

    Raises:
        ExchangeError: the file cannot be read, is no gzip, grows without bound, or a line is no JSON object.
    """
    number = 0
    try:
        size = path.stat().st_size
        with path.open("rb") as raw, gzip.open(raw) if path.suffix == ".gz" else raw as lines:
            for number, text in enumerate(bounded_lines(lines, size), start=1):
                if number % 1000 == 0:
                    on_read(raw.tell() / max(size, 1), f"{path.name}, line {number:,}")
                if text.strip():
                    yield Line(path.name, number, _object(path.name, number, text))
    except TooLong as error:
        raise ExchangeError(f"{path.name}, after line {number:,}: {error}.",
                            "Write one JSON object a line, with one window.") from error
    except (EOFError, zlib.error, OSError) as error:
        raise ExchangeError(f"{path.name} cannot be read after line {number:,}: {error}.",
                            "Check that the file is there and whole.") from error


def _object(file: str, number: int, text: bytes) -> dict:
    try:
        record = from_json(text.removeprefix(b"\xef\xbb\xbf") if number == 1 else text)
    except ValueError as error:
        raise ExchangeError(f"{file}, line {number}: not valid JSON in UTF-8: {error}.",
                            "Write one JSON object a line.") from error
    if not isinstance(record, dict):
        raise ExchangeError(f"{file}, line {number}: not a JSON object.", "Write one JSON object a line.")
    return record


def _short(value: object) -> str:
    if isinstance(value, list | dict):
        return f"{type(value).__name__} of {len(value)}"
    if isinstance(value, int) and abs(value) > 10**60:
        return "a very large number"  # writing it out could take forever
    return ascii(value[:60] if isinstance(value, str) else value)
