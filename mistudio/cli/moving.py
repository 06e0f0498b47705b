"""``copy`` and ``backup``: a whole database into another one, or into a file."""

from pathlib import Path
from typing import Annotated

import typer

from mistudio.cli.options import AsJson, Database
from mistudio.cli.output import Steps, plain, print_json
from mistudio.settings import settings
from mistudio.store import open_store
from mistudio.store.backup import backup as make_backup
from mistudio.store.copying import copy as copy_all
from mistudio.store.copying import must_exist

BESIDE = ("adapters (labelers of your own), prompts (your own ones), checkpoints (unfinished extractions and "
          "trainings), models (downloads)")


def copy(
    source: Annotated[str, typer.Option("--from", metavar="URL", help="The database to read.")],
    target: Annotated[str, typer.Option("--to", metavar="URL", help="The database to fill; it must be empty. An SQLite "
                                        "file is made.")],
    as_json: AsJson = False,
) -> None:
    """Copy everything from one database to another: SQLite or PostgreSQL, either way, all or nothing."""
    must_exist(source)
    with Steps(quiet=as_json) as progress:
        done = copy_all(open_store(source), open_store(target), progress)
    if as_json:
        print_json(done._asdict())
        return
    print(f"{sum(done.rows.values()):,} rows copied and compared, the same on both sides: {_told(done.rows)}.")
    if done.replaced:
        print(f"{done.replaced:,} rows held NUL characters or halves of surrogate pairs, which PostgreSQL cannot "
              "store: U+FFFD and ? stand in their places.")
    print(f"Not in a database, so not copied, is what lies in {plain(settings().data_dir)}: {BESIDE}.")


def backup(
    file: Annotated[Path, typer.Argument(help="The file to write.")],
    db: Database = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if it is there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Copy an SQLite database into a file while others go on writing: as it is at one moment, and checked."""
    must_exist(db or settings().url)
    with Steps(quiet=as_json) as progress:
        rows = make_backup(open_store(db), file, progress, overwrite=overwrite)
    if as_json:
        print_json({"file": str(file), "rows": rows})
        return
    print(f"{plain(file)}: {file.stat().st_size / 1e6:,.1f} MB, checked: {_told(rows)}.")
    print(f"Not in a database, so not in it, is what lies in {plain(settings().data_dir)}: {BESIDE}.")


def _told(rows: dict[str, int]) -> str:
    counted = (("extraction", "extractions"), ("feature", "features"), ("label", "labels"), ("score", "scores"),
               ("run", "runs"))
    return ", ".join(f"{rows[table]:,} {name}" for table, name in counted)
