"""``demo`` and ``extract``: the commands that run a model."""

from dataclasses import asdict
from typing import Annotated

import typer
from pydantic import ValidationError

from mistudio.cli.options import AsJson, Database, config_option, opened
from mistudio.cli.output import Steps, print_json
from mistudio.demo.setup import LABELS, TOKENS, run_demo
from mistudio.errors import MistudioError
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


def extract(
    model: Annotated[str, config_option(ExtractConfig, "model")],
    sae: Annotated[str, config_option(ExtractConfig, "sae")],
    corpus: Annotated[str | None, config_option(ExtractConfig, "corpus")] = None,
    corpus_split: Annotated[str | None, config_option(ExtractConfig, "corpus_split")] = None,
    text_column: Annotated[str | None, config_option(ExtractConfig, "text_column")] = None,
    tokens_column: Annotated[str | None, config_option(ExtractConfig, "tokens_column")] = None,
    document_column: Annotated[str | None, config_option(ExtractConfig, "document_column")] = None,
    pack: Annotated[bool | None, config_option(ExtractConfig, "pack", "--pack")] = None,
    prepend_bos: Annotated[bool | None, config_option(ExtractConfig, "prepend_bos")] = None,
    hook_point: Annotated[str | None, config_option(ExtractConfig, "hook_point")] = None,
    center: Annotated[bool | None, config_option(ExtractConfig, "center")] = None,
    fold_value_biases: Annotated[bool | None, config_option(ExtractConfig, "fold_value_biases")] = None,
    tokens: Annotated[int | None, config_option(ExtractConfig, "tokens")] = None,
    context_length: Annotated[int | None, config_option(ExtractConfig, "context_length")] = None,
    name: Annotated[str | None, config_option(ExtractConfig, "name")] = None,
    device: Annotated[str | None, config_option(ExtractConfig, "device")] = None,
    checkpoint_seconds: Annotated[float | None, config_option(ExtractConfig, "checkpoint_seconds")] = None,
    engine: Annotated[str | None, config_option(ExtractConfig, "engine")] = None,
    address: Annotated[str | None, config_option(ExtractConfig, "address")] = None,
    workers: Annotated[int | None, config_option(ExtractConfig, "workers")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Run a few batches, say what the whole would take in "
                                          "memory, disk and time, and store nothing.")] = False,
    db: Database = None,
    as_json: AsJson = False,
) -> None:
    """Run a model and an SAE over a corpus and store every feature with its examples.

    The same command again goes on where a killed one stopped.
    """
    given = {"model": model, "sae": sae, "corpus": corpus, "corpus_split": corpus_split,
             "text_column": text_column, "tokens_column": tokens_column, "document_column": document_column,
             "pack": pack, "prepend_bos": prepend_bos, "hook_point": hook_point, "center": center,
             "fold_value_biases": fold_value_biases, "tokens": tokens, "context_length": context_length,
             "name": name, "device": device, "checkpoint_seconds": checkpoint_seconds, "engine": engine,
             "address": address, "workers": workers}
    try:
        config = ExtractConfig(**{key: value for key, value in given.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        raise MistudioError(f"The option {first['loc'][0]} is not valid: {first['msg'].lower()}.") from error
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
    print(f"About {guess.seconds / 60:,.1f} minutes at {guess.tokens_per_second:,.0f} tokens/s, "
          f"{guess.memory / 1e9:,.1f} GB of memory, {guess.disk / 1e6:,.0f} MB in the database and, while it runs, "
          f"{guess.checkpoint / 1e6:,.0f} MB for the checkpoint. Nothing was stored.")


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
