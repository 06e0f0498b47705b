"""``demo`` and ``extract``: the commands that run a model."""

from dataclasses import asdict
from typing import Annotated

import typer

from mistudio.cli.options import AsJson, Database, opened, takes
from mistudio.cli.output import Steps, print_json
from mistudio.demo.setup import LABELS, TOKENS, run_demo
from mistudio.extract.config import ExtractConfig
from mistudio.store import Extraction, open_store, session
from mistudio.store.extractions import coverage


def demo(
    db: Database = None,
    as_json: AsJson = False,
    tokens: Annotated[int, typer.Option(help="Tokens of the installed corpus to run.", min=1000)] = TOKENS,
    label: Annotated[int, typer.Option(help="Features to label with the embedded labeler.", min=0)] = LABELS,
) -> None:
    """Set up the demo: a small model, its SAE, an extraction and the first labels. Needs no key and no server."""
    engine = open_store(db)
    with Steps() as progress:
        extraction_id = run_demo(engine, tokens=tokens, label=label, progress=progress)
    _print_extraction(*opened(db, extraction_id), as_json)


@takes(ExtractConfig)
def extract(
    given: dict,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Run a few batches, say what the whole would take in "
                                          "memory, disk and time, and store nothing.")] = False,
    db: Database = None,
    as_json: AsJson = False,
) -> None:
    """Run a model and an SAE over a corpus and store every feature with its examples.

    The same command again goes on where a killed one stopped.
    """
    config = ExtractConfig.checked(**given)
    if dry_run:
        _print_prediction(config, as_json)
        return
    store = open_store(db)
    from mistudio.extract.pipeline import extract as run_extraction

    with Steps() as progress:
        extraction_id = run_extraction(store, config, progress=progress)
    _print_extraction(*opened(db, extraction_id), as_json)


def _print_prediction(config: ExtractConfig, as_json: bool) -> None:
    from mistudio.extract.predict import predict

    with Steps() as progress:
        guess = predict(config, progress)
    if as_json:
        print_json(asdict(guess))
        return
    print(guess.sentence())


def _print_extraction(engine, extraction: Extraction, as_json: bool) -> None:
    with session(engine) as work:
        counts = coverage(work, extraction.id)
    if as_json:
        print_json({"extraction": extraction.id, "name": extraction.name, "model": extraction.model,
                    "hook_point": extraction.hook_point, "sae": extraction.sae, "tokens": extraction.tokens,
                    "seconds": extraction.seconds, "features": counts.features, "states": counts.states,
                    "labeled": counts.labeled})
        return
    print(f"Extraction {extraction.id} ({extraction.name}): {counts.features:,} features, "
          f"{counts.labelable:,} of them can be labeled, {counts.labeled:,} are.")
    print("Next: python -m mistudio label, or streamlit run app.py")
