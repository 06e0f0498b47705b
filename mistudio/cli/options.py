"""Options that several commands take, and the database they work on."""

from typing import Annotated

import typer
from pydantic import BaseModel
from sqlalchemy import Engine

from mistudio.store import Extraction, open_store, session
from mistudio.store.extractions import get_extraction
from mistudio.store.features import FeatureFilter

Database = Annotated[str | None, typer.Option(
    "--db", metavar="URL", help="Database; MISTUDIO_DATABASE_URL, or SQLite in the data folder, when not given.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of text for people.")]
ExtractionId = Annotated[int | None, typer.Option(
    "--extraction", metavar="ID", help="Which extraction; the newest finished one when not given.")]


def config_option(config: type[BaseModel], name: str, *declared: str):
    """An option whose help and default are those of the config's field."""
    field = config.model_fields[name]
    shown = not field.is_required() and field.default not in (None, "", False)
    return typer.Option(*declared, help=f"{field.description}{f' Default: {field.default}.' if shown else ''}",
                        show_default=False)


def opened(db: str | None, extraction_id: int | None) -> tuple[Engine, Extraction]:
    """The database, and the extraction to work on."""
    engine = open_store(db)
    with session(engine) as work:
        return engine, get_extraction(work, extraction_id)


def selection(text: str, d_sae: int) -> FeatureFilter:
    """Which features ``--features`` means: ``all``, a label state such as ``unlabeled``, or indices and ranges."""
    from mistudio.label.selection import parse_indices

    if text == "all":
        return FeatureFilter()
    if text.isalpha():
        return FeatureFilter(labels=text)
    return FeatureFilter(indices=parse_indices(text, d_sae))
