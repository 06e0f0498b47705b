"""``export``, ``import`` and ``import-features``: labels and features to and from files."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from mistudio.cli.options import (
    WHICH,
    AsJson,
    Database,
    ExtractionId,
    ScoreAbove,
    ScoreBelow,
    opened,
    selection,
    takes,
)
from mistudio.cli.output import Steps, plain, print_json
from mistudio.errors import MistudioError
from mistudio.exchange.features import FeatureImportConfig, FeatureImportReport
from mistudio.exchange.imports import import_features as read_features
from mistudio.exchange.labels import export_labels, import_labels
from mistudio.exchange.neuronpedia_export import CREATOR, NeuronpediaExport, export_neuronpedia
from mistudio.store import open_store


def export_file(
    file: Annotated[Path, typer.Argument(help="A .csv or .jsonl file to write; a folder for neuronpedia.")],
    db: Database = None,
    extraction: ExtractionId = None,
    as_json: AsJson = False,
    features: Annotated[str, typer.Option(help=WHICH)] = "all",
    score_above: ScoreAbove = None,
    score_below: ScoreBelow = None,
    form: Annotated[str, typer.Option("--format", metavar="labels|neuronpedia", help="Only the labels, in one file; "
                                      "or features, windows and labels, in a folder for Neuronpedia.")] = "labels",
    creator: Annotated[str, typer.Option(help="With neuronpedia: id of the user there who owns all rows.")] = CREATOR,
) -> None:
    """Write current labels to a file that names model, hook point, SAE and feature index; or all to a folder."""
    engine, chosen = opened(db, extraction)
    wanted = selection(features, chosen.d_sae, score_above, score_below)
    if form == "neuronpedia":
        _export_folder(export_neuronpedia(engine, chosen.id, file, wanted, creator=creator), chosen.id, as_json)
        return
    if form != "labels":
        raise MistudioError(f"There is no format {form!r}.", "Use labels or neuronpedia.")
    count = export_labels(engine, chosen.id, file, wanted)
    if as_json:
        print_json({"file": str(file), "extraction": chosen.id, "labels": count})
    else:
        print(f"{count:,} labels of extraction {chosen.id} written to {plain(file)}.")


def _export_folder(written: NeuronpediaExport, extraction_id: int, as_json: bool) -> None:
    if as_json:
        print_json(asdict(written) | {"folder": str(written.folder), "extraction": extraction_id})
    else:
        print(f"{written.features:,} features with {written.activations:,} windows and {written.explanations:,} labels "
              f"of extraction {extraction_id} written to {plain(written.folder)}.")


def import_file(
    file: Annotated[Path, typer.Argument(help="A .csv or .jsonl file to read.")],
    db: Database = None,
    extraction: ExtractionId = None,
    as_json: AsJson = False,
    replace_human: Annotated[bool, typer.Option("--replace-human",
                                                help="Also replace labels a person wrote or approved here.")] = False,
) -> None:
    """Read labels from a file: all of them or, if anything in it is wrong, none."""
    engine, chosen = opened(db, extraction)
    report = import_labels(engine, chosen.id, file, replace_human=replace_human)
    if as_json:
        print_json({"file": str(file), "extraction": chosen.id} | asdict(report))
        return
    print(f"{report.rows:,} rows read into extraction {chosen.id}: {report.added:,} labels added, "
          f"{report.unchanged:,} already there, {report.restored:,} made current again, "
          f"{report.judged:,} verdicts set.")
    if report.kept:
        print(f"{report.kept:,} features kept the label a person gave them; --replace-human replaces those too.")


@takes(FeatureImportConfig)
def import_features(
    given: dict,
    path: Annotated[Path, typer.Argument(help="A features file (.jsonl or .jsonl.gz, see docs/features-file.md), or a "
                                         "source's folder of Neuronpedia's export.")],
    *,
    db: Database = None,
    as_json: AsJson = False,
) -> None:
    """Make an extraction of features that were computed elsewhere: all of them or, if anything is wrong, none."""
    engine = open_store(db)
    with Steps() as progress:
        report = read_features(engine, path, FeatureImportConfig.checked(**given),
                               lambda share, where: progress("Reading", share, where))
    if as_json:
        print_json({"file": str(path)} | asdict(report))
        return
    for sentence in _sentences(report):
        print(sentence)


def _sentences(report: FeatureImportReport) -> list[str]:
    splits = ", ".join(f"{count:,} {name}" for name, count in report.splits.items())
    said = [f"Extraction {report.extraction}: {report.features:,} features with {report.windows:,} windows ({splits}) "
            f"and {report.labels:,} labels, from {report.texts:,} texts of {report.tokens:,} tokens."]
    if report.left_out:
        said.append(f"{report.left_out:,} windows were left out: near-identical to others, or more than are kept.")
    if report.counted:
        said.append(f"The density of {report.counted:,} features was not given: it is the share of the imported tokens "
                    "on which they are active.")
    said.append(f"{report.references:,} windows are known to be silent for the features that they do not name."
                if report.references else "Nowhere is it known that a feature is silent: prompts have no silent "
                "windows to compare with, and labels cannot be scored.")
    return [*said, "Next: python -m mistudio label, or streamlit run app.py"]
