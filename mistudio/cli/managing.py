"""Commands for extractions as a whole: list, rename, delete, and compare their labels."""

from typing import Annotated, get_args

import typer
from sqlmodel import Session

from mistudio.cli.options import AsJson, Database
from mistudio.cli.output import Steps, print_json, print_table
from mistudio.errors import MistudioError
from mistudio.search.encoder import ENCODER
from mistudio.store import open_store, session
from mistudio.store.comparison import Side, Which, pairs, totals
from mistudio.store.extractions import get_extraction, list_extractions, rename_extraction
from mistudio.store.runs import get_run

Id = Annotated[int, typer.Argument(metavar="EXTRACTION", help="Its number, as the command extractions shows it.")]


def extractions(db: Database = None, as_json: AsJson = False) -> None:
    """List extractions, newest first."""
    with session(open_store(db)) as work:
        found = list_extractions(work)
    if as_json:
        print_json([{"extraction": row.id, "name": row.name, "state": row.state, "model": row.model,
                     "hook_point": row.hook_point, "sae": row.sae, "d_sae": row.d_sae, "tokens": row.tokens,
                     "corpus": row.corpus, "created_at": row.created_at} for row in found])
        return
    print_table(("extraction", "name", "state", "features", "tokens", "started"),
                [(row.id, row.name, row.state, f"{row.d_sae:,}", f"{row.tokens:,}", f"{row.created_at:%Y-%m-%d %H:%M}")
                 for row in found], right=("extraction", "features", "tokens"))


def rename(extraction: Id, name: Annotated[str, typer.Argument(help="The new name.")], db: Database = None) -> None:
    """Give an extraction another name."""
    with session(open_store(db)) as work:
        rename_extraction(work, extraction, name)


def delete(
    extraction: Id,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    db: Database = None,
) -> None:
    """Delete an extraction with its features, labels, scores and runs, and give their space back to the disk."""
    engine = open_store(db)
    with session(engine) as work:
        name = get_extraction(work, extraction).name
    if not yes and typer.prompt(f"This deletes {name!r} and all its labels for good. Type its name") != name:
        raise MistudioError("That is not its name. Nothing was deleted.")
    from mistudio.jobs.deleting import delete as delete_all

    with Steps() as progress:
        said = delete_all(engine, extraction, progress)
    print(said)


def compare(
    first: Annotated[str, typer.Argument(help="An extraction's number (its current labels), or run:NUMBER.")],
    second: Annotated[str, typer.Argument(help="The same, for the other side.")],
    show: Annotated[str, typer.Option(help=f"One of {', '.join(get_args(Which))}.")] = "differ",
    db: Database = None,
    as_json: AsJson = False,
    limit: Annotated[int, typer.Option(help="How many.", min=1)] = 50,
    offset: Annotated[int, typer.Option(help="How many to leave out first.", min=0)] = 0,
) -> None:
    """Compare the labels of two extractions, or of two runs on one, feature by feature."""
    if show not in get_args(Which):
        raise MistudioError(f"{show!r} is nothing to show.", f"Use one of: {', '.join(get_args(Which))}.")
    engine = open_store(db)
    with session(engine) as work:
        sides = [_side(work, text) for text in (first, second)]
        found = totals(work, *sides)
        rows = pairs(work, *sides, show, encoder=ENCODER, limit=limit, offset=offset)
    if as_json:
        print_json({"totals": found._asdict(), "features": [
            {"index": pair.index, "alike": pair.alike,
             **{name: label and {"text": label.text, "explanation": label.explanation, "score": label.score}
                for name, label in (("first", pair.first), ("second", pair.second))}} for pair in rows]})
        return
    print(f"{found.both:,} labeled in both, {found.same:,} of them with the same text; {found.first:,} only in the "
          f"first, {found.second:,} only in the second.")
    print_table(("index", "first", "second", "alike"),
                [(pair.index, pair.first.text if pair.first else "", pair.second.text if pair.second else "",
                  "" if pair.alike is None else f"{pair.alike:.2f}") for pair in rows], right=("index", "alike"))


def _side(work: Session, text: str) -> Side:
    number = text.removeprefix("run:")
    if not (number.isascii() and number.isdigit()):
        raise MistudioError(f"{text!r} names no labels.", "Use an extraction's number, or run:NUMBER.")
    if text.startswith("run:"):
        run = get_run(work, int(number))
        return Side(run.extraction_id, (run.id,))
    return Side(get_extraction(work, int(number)).id)
