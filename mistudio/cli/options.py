"""Options that several commands take, and the database they work on."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Literal, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from sqlalchemy import Engine

from mistudio.store import Extraction, open_store, session
from mistudio.store.extractions import get_extraction
from mistudio.store.features import FeatureFilter

Database = Annotated[str | None, typer.Option(
    "--db", metavar="URL", help="Database; MISTUDIO_DATABASE_URL, or SQLite in the data folder, when not given.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of text for people.")]
ExtractionId = Annotated[int | None, typer.Option(
    "--extraction", metavar="ID", help="Which extraction; the newest finished one when not given.")]
WHICH = "0-99,205, all, unlabeled, labeled, unreviewed, approved, rejected, human, scored or unscored."
ScoreAbove = Annotated[float | None, typer.Option(
    min=0, max=1, metavar="X", help="Only features whose label scored so much or more, on the test split.")]
ScoreBelow = Annotated[float | None, typer.Option(
    min=0, max=1, metavar="X", help="Only features whose label scored less than this, on the test split.")]


def takes(config: type[BaseModel]) -> Callable[[Callable], Callable]:
    """Give a command one option for each field of a config, with that field's help. Those that were set reach it in its
    first parameter, a dict; a field without a default is required."""

    def decorate(command: Callable) -> Callable:
        own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]
        options = [_parameter(name, field) for name, field in config.model_fields.items()]

        @wraps(command)
        def run(**values):
            given = {name: values.pop(name) for name in config.model_fields}
            return command({name: value for name, value in given.items() if value is not None}, **values)

        required = [option for option in options if option.default is inspect.Parameter.empty]
        run.__signature__ = inspect.Signature([*required, *own, *(each for each in options if each not in required)])
        return run

    return decorate


def _parameter(name: str, field: FieldInfo) -> inspect.Parameter:
    shown = not field.is_required() and field.default not in (None, "", False)
    # A switch that is off by default needs no form that turns it off.
    declared = [f"--{name.replace('_', '-')}"] if field.annotation is bool and not field.default else []
    # The config itself says which choices it takes, as it does on the page.
    choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    option = typer.Option(*declared, help=f"{field.description}{f' Default: {field.default}.' if shown else ''}",
                          show_default=False, metavar="|".join(choices) or None)
    kind = str if choices else field.annotation
    required = field.is_required()
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY,
                             annotation=Annotated[kind if required else kind | None, option],
                             default=inspect.Parameter.empty if required else None)


def opened(db: str | None, extraction_id: int | None) -> tuple[Engine, Extraction]:
    """The database, and the extraction to work on."""
    engine = open_store(db)
    with session(engine) as work:
        return engine, get_extraction(work, extraction_id)


def selection(text: str, d_sae: int, score_above: float | None, score_below: float | None) -> FeatureFilter:
    """Which features ``--features`` means: ``all``, a label state such as ``unlabeled``, or indices and ranges; of
    these, the ones with such a score."""
    from mistudio.label.selection import parse_indices

    chosen = {} if text == "all" else {"labels": text} if text.isalpha() else {"indices": parse_indices(text, d_sae)}
    return FeatureFilter(**chosen, score_above=score_above, score_below=score_below)
