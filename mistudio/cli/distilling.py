"""``distill`` and ``adapters``: make a labeler of one's own from labels, and see what it is worth."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from mistudio.cli.options import AsJson, Database, ExtractionId, takes
from mistudio.cli.output import Steps, plain, print_json, print_table
from mistudio.cli.running import CANCELLED
from mistudio.distill.config import DistillConfig
from mistudio.errors import Cancelled, MistudioError
from mistudio.label import adapters as store
from mistudio.label.adapters import Adapter, Card
from mistudio.store import open_store

ROWS = (("similarity to the reference", "similarity"), ("  with labels shuffled", "shuffled"),
        ("right label nearest", "top1"), ("right label among 5 nearest", "top5"),
        ("embedding score", "embedding"), ("detection", "detection"), ("without a usable label", "failed"))


@takes(DistillConfig)
def distill(
    given: dict,
    name: Annotated[str, typer.Argument(help="What to call the adapter; it labels as --provider embedded:NAME.")],
    *,
    db: Database = None,
    extraction: ExtractionId = None,
    as_json: AsJson = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with one that stopped.")] = False,
) -> None:
    """Train a labeler of your own from an extraction's approved labels, and measure it on labels held out.

    Ctrl-C stops after the present step, --resume goes on.
    """
    from mistudio.distill import job

    if resume and (given or extraction is not None):
        raise MistudioError("A distillation goes on with the options it was started with.",
                            f"Give only: python -m mistudio distill {name} --resume")
    engine = open_store(db)
    try:
        with Steps(quiet=as_json) as steps, _stopping(name) as told:
            def progress(step: str, fraction: float, detail: str) -> None:
                told()
                steps(step, fraction, detail)

            card = (job.resume(engine, name, progress=progress) if resume else
                    job.distill(engine, name, DistillConfig.checked(**given), extraction, progress=progress))
    except Cancelled as error:
        print(f"{error.message} {_resume_line(name)}", file=sys.stderr)
        raise typer.Exit(CANCELLED) from error
    if as_json:
        print_json(card.model_dump())
    else:
        print_card(card)


def adapters(
    as_json: AsJson = False,
    remove: Annotated[str | None, typer.Option(metavar="NAME", help="Delete this adapter, or what is left of a "
                                               "distillation.")] = None,
) -> None:
    """List the adapters that distill made, and whether they are better than what there was."""
    if remove is not None:
        store.remove_adapter(remove)
    found = store.list_adapters()
    if as_json:
        print_json([_record(each) for each in found])
    elif found:
        print_table(("adapter", "state", "base", "labels", "held out", "similarity", "nearest", "verdict"),
                    [_row(each) for each in found], right=("labels", "held out"))
    else:
        print("There is no adapter yet. Make one: python -m mistudio distill NAME")


def print_card(card: Card) -> None:
    """Before and after, and the verdict."""
    rows = [(title, *(_value(name, getattr(side, name)) for side in (card.before, card.after)))
            for title, name in ROWS if getattr(card.after, name) is not None]
    print_table((f"{card.held_out} held-out labels", card.compared, f"embedded:{card.name}"), rows)
    print(card.verdict.sentence)
    if card.left_out:
        print("Left out: " + ", ".join(f"{count:,} {why}" for why, count in card.left_out.items()))
    print(f"Trained on {card.trained:,} labels. Label with it: "
          f"python -m mistudio label --provider {store.PREFIX}{card.name}")


def _value(name: str, value: float | int | None) -> str:
    if value is None:
        return "–"
    return str(value) if name == "failed" else f"{value:.0%}" if name.startswith("top") else f"{value:.3f}"


def _row(found: Adapter) -> tuple:
    card = found.card
    if card is None:
        told = found.progress
        return (found.name, found.state, found.settings.get("base", ""), "", "", "", "",
                plain(told.get("error") or f"{told.get('step', '')} {told.get('detail', '')}".strip()))
    return (found.name, found.state, card.base, f"{card.trained:,}", f"{card.held_out:,}",
            f"{card.before.similarity:.3f} > {card.after.similarity:.3f}",
            f"{card.before.top1:.0%} > {card.after.top1:.0%}", "better" if card.verdict.better else "not better")


def _record(found: Adapter) -> dict:
    return {"name": found.name, "state": found.state, "card": found.card and found.card.model_dump(),
            "settings": found.settings, "progress": found.progress}


@contextmanager
def _stopping(name: str) -> Iterator:
    """While entered, Ctrl-C only makes the yielded function raise ``Cancelled``, and a second one leaves at once."""
    asked = False

    def told() -> None:
        if asked:
            raise Cancelled(f"The distillation of {name} was stopped.")

    def ask(_signal, _frame) -> None:
        nonlocal asked
        if asked:
            print(f"Left at once. {_resume_line(name)}", file=sys.stderr, flush=True)
            os._exit(CANCELLED)
        asked = True
        print("Stopping after the present step; press Ctrl-C again to leave at once.", file=sys.stderr, flush=True)

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield told
    finally:
        signal.signal(signal.SIGINT, before)


def _resume_line(name: str) -> str:
    # The URL itself may hold a password.
    same = " (with the same --db)" if "--db" in sys.argv else ""
    return f"{store.resume_line(name)}{same}"
