"""Labeled features as a folder that Neuronpedia's importer takes (the layout is described in ``neuronpedia``).

Its importer takes the columns of a file from the first line alone, so every line has all of them. Explanations name a
row of its table of explainers, which is therefore written too, where its importer looks for it: ``config/``. Rows name
a user as their creator; this has to be one of the Neuronpedia that imports them.
"""

import gzip
import hashlib
import json
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sqlalchemy import Engine
from sqlmodel import Session, col, select

from mistudio.access import require_write
from mistudio.errors import ExchangeError
from mistudio.exchange.neuronpedia import TOP, TOP_BIN, Notes
from mistudio.model.hook_point import OUTPUT, parse_hook_point
from mistudio.store import Extraction, Feature, Label, Score, session
from mistudio.store.examples import SPLITS, Examples, load_examples, load_vocabulary
from mistudio.store.extractions import get_extraction
from mistudio.store.features import FeatureFilter, list_features
from mistudio.store.tables import now

# The user that Neuronpedia's public files name as their creator, and that its example settings create.
CREATOR = "clkht01d40000jv08hvalcvly"
BATCH = 1024  # features a file
CONFIG = ("explanation_model_type", "explanation_type", "explanation_score_model", "explanation_score_type",
          "eval_type")
# What the notes of an explanation tell of each of its scores.
NOTED = {"method", "judge", "value", "baseline", "n", "created_at"}


@dataclass(frozen=True)
class NeuronpediaExport:
    """What was written: the folder of the source, and how many features, windows and explanations are in it."""

    folder: Path
    features: int
    activations: int
    explanations: int


def export_neuronpedia(engine: Engine, extraction_id: int, folder: Path | str,
                       wanted: FeatureFilter = FeatureFilter(), *, creator: str = CREATOR) -> NeuronpediaExport:
    """Write an extraction as ``{folder}/{model}/{source}`` and ``{folder}/config``: features, windows, and current
    labels but for rejected ones, each with its scores.

    Args:
        wanted: which features.
        creator: id of the user that all rows name; it has to exist where they are imported.

    Raises:
        ExchangeError: that folder is there already, or cannot be written.
    """
    require_write()
    with session(engine) as work:
        writer = _Writer(work, get_extraction(work, extraction_id), creator)
        target = Path(folder) / writer.model / writer.source
        if target.exists():
            raise ExchangeError(f"{target} exists.", "Choose another folder, or remove it first.")
        draft = target.with_name(f".{target.name}.part")
        try:
            shutil.rmtree(draft, ignore_errors=True)
            writer.write(draft, wanted)
            _write_config(Path(folder) / "config", writer.explainers)
            draft.replace(target)
        except OSError as error:
            raise ExchangeError(f"{target} cannot be written: {error.strerror}.", "Choose another folder.") from error
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return NeuronpediaExport(target, writer.features, writer.activations, writer.explanations)


class _Writer:
    """One source: its names there, and what was written so far."""

    def __init__(self, work: Session, extraction: Extraction, creator: str):
        self.work, self.extraction, self.creator = work, extraction, creator
        hook = parse_hook_point(extraction.hook_point)
        self.hook_name, self.layer = hook.transformer_lens, hook.layer or 0  # a module has no number
        self.model = _name(extraction.model.rpartition("/")[2])
        place = "" if hook.layer is None or hook.place == OUTPUT else f"{hook.place}-"
        self.source_set = _name(f"{place}{extraction.sae}")
        self.source = f"{self.layer}-{self.source_set}"
        self.at = now().replace(tzinfo=None).isoformat(timespec="milliseconds")
        self.vocabulary = load_vocabulary(work, extraction.vocabulary_hash)
        self.features = self.activations = self.explanations = 0
        self.explainers: set[str] = set()

    def write(self, folder: Path, wanted: FeatureFilter) -> None:
        for name in ("features", "activations", "explanations"):
            (folder / name).mkdir(parents=True)
        for name, row in self._about().items():
            (folder / f"{name}.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
        number = 0
        while pairs := list_features(self.work, self.extraction.id, wanted, limit=BATCH,
                                     offset=number * BATCH):
            scores = self._scores([label.id for _feature, label in pairs if label])
            batch = f"batch-{number}.jsonl.gz"
            self.features += _write(folder / "features" / batch, map(self._feature, (pair[0] for pair in pairs)))
            self.activations += _write(folder / "activations" / batch, (
                row for feature, _label in pairs for row in self._activations(feature)))
            self.explanations += _write(folder / "explanations" / batch, (
                self._explanation(feature, label, scores.get(label.id, [])) for feature, label in pairs
                if label and label.verdict != "rejected"))
            number += 1

    def _about(self) -> dict[str, dict]:
        """The one row of each file that says what the source is."""
        mine = {"creatorId": self.creator, "createdAt": f"{self.at}Z"}
        extraction = self.extraction
        return {
            "release": {"name": self.source_set, "description": extraction.name, "creatorName": "mistudio",
                        "urls": []} | mine,
            # How many layers the model has is not known here; a model that is there already stays as it is.
            "model": {"id": self.model, "displayName": extraction.model, "displayNameShort": extraction.model,
                      "owner": extraction.model.partition("/")[0], "layers": self.layer + 1,
                      "neuronsPerLayer": 0} | mine,
            "sourceset": {"modelId": self.model, "name": self.source_set, "description": extraction.sae,
                          "creatorName": "mistudio", "releaseName": self.source_set, "urls": []} | mine,
            "source": {"id": self.source, "modelId": self.model, "setName": self.source_set,
                       "dataset": extraction.corpus,
                       "num_prompts": -(-extraction.tokens // max(extraction.context_length, 1)),
                       "num_tokens_in_prompt": extraction.context_length} | mine}

    def _feature(self, feature: Feature) -> dict:
        bins = feature.histogram
        return self._row(feature) | {
            "creatorId": self.creator, "createdAt": self.at, "sourceSetName": self.source_set,
            "maxActApprox": feature.max_activation, "frac_nonzero": feature.density,
            "freq_hist_data_bar_heights": [count for _low, _high, count in bins],
            "freq_hist_data_bar_values": [(low + high) / 2 for low, high, _count in bins],
            "logits_hist_data_bar_heights": [], "logits_hist_data_bar_values": [],
            "pos_str": [token for token, _weight in feature.promoted],
            "pos_values": [weight for _token, weight in feature.promoted],
            "neg_str": [token for token, _weight in feature.suppressed],
            "neg_values": [weight for _token, weight in feature.suppressed],
            "neuron_alignment_indices": [], "neuron_alignment_l1": [], "neuron_alignment_values": [],
            "correlated_neurons_indices": [], "correlated_neurons_l1": [], "correlated_neurons_pearson": [],
            "decoder_weights_dist": [], "topkCosSimIndices": [], "topkCosSimValues": [], "vector": [],
            "vectorLabel": None, "hookName": self.hook_name, "vectorDefaultSteerStrength": feature.max_activation,
            "hasVector": False}

    def _activations(self, feature: Feature) -> Iterable[dict]:
        found = load_examples(self.work, feature)
        for row in range(len(found) if found else 0):
            yield self._activation(feature, found, row)

    def _activation(self, feature: Feature, found: Examples, row: int) -> dict:
        inside = np.flatnonzero(found.tokens[row] >= 0)
        # The shortest decimals that are the same float16 again.
        values = found.activations[row][inside].astype(str).astype(float).tolist()
        peak = int(np.searchsorted(inside, found.peak[row]))
        top = found.source[row] == TOP
        return self._row(feature) | {
            "id": self._id("activation", feature.index, row), "creatorId": self.creator, "createdAt": self.at,
            "dataSource": self.extraction.corpus,
            "dataIndex": f"{SPLITS[found.split[row]]}:{int(found.document[row])}",
            "tokens": [self.vocabulary[token] for token in found.tokens[row][inside]], "values": values,
            "maxValue": values[peak], "maxValueTokenIndex": peak, "minValue": min(values),
            "dfaValues": [], "dfaMaxValue": None, "dfaTargetIndex": None, "lossValues": [], "logitContributions": None,
            "binContains": TOP_BIN if top else 1.0, "binMin": -1.0 if top else 0.0, "binMax": feature.max_activation,
            "qualifyingTokenIndex": peak}

    def _explanation(self, feature: Feature, label: Label, scores: list[Score]) -> dict:
        notes = Notes(explanation=label.explanation, kind=label.kind, provider=label.provider, author=label.author,
                      scores=[score.model_dump(mode="json", include=NOTED) for score in scores])
        if label.model:
            self.explainers.add(label.model)
        return self._row(feature) | {
            "id": self._id("explanation", feature.index, label.id), "authorId": self.creator,
            "description": label.text, "notes": notes.model_dump_json(), "typeName": None,
            "explanationModelName": label.model or None, "embedding": None, "umap_x": 0.0, "umap_y": 0.0,
            "umap_cluster": 0, "umap_log_feature_sparsity": 0.0, "createdAt": _naive(label), "updatedAt": self.at}

    def _row(self, feature: Feature) -> dict:
        return {"modelId": self.model, "layer": self.source, "index": str(feature.index)}

    def _id(self, *parts: object) -> str:
        """The same for the same row, so that importing it twice adds nothing."""
        told = json.dumps([self.model, self.source, self.extraction.created_at.isoformat(), *map(str, parts)])
        return f"c{hashlib.blake2b(told.encode(), digest_size=12).hexdigest()}"

    def _scores(self, label_ids: list[int]) -> dict[int, list[Score]]:
        found: dict[int, list[Score]] = {}
        # Values of the select split were chosen for being high.
        wanted = select(Score).where(col(Score.label_id).in_(label_ids), Score.split == "test").order_by(Score.id)
        for score in self.work.exec(wanted):
            found.setdefault(score.label_id, []).append(score)
        return found


def _write(path: Path, rows: Iterable[dict]) -> int:
    """How many rows went into a gzipped file; a file without rows is not left there, as the importer reads a line."""
    count = 0
    with gzip.open(path, "wt", encoding="utf-8", newline="\n") as lines:
        for row in rows:
            lines.write(json.dumps(row, allow_nan=False) + "\n")
            count += 1
    if not count:
        path.unlink()
    return count


def _write_config(folder: Path, explainers: set[str]) -> None:
    """The five files of ``config/``, all of which the importer asks for. Explainers that are there already stay."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in CONFIG:
        (folder / f"{name}.jsonl").touch()
    path = folder / "explanation_model_type.jsonl"
    known = path.read_text(encoding="utf-8")
    new = [name for name in sorted(explainers) if f'"name": {json.dumps(name)}' not in known]
    path.write_text(known + "".join(json.dumps({"name": name, "displayName": name, "description": name,
                                                "creatorName": "mistudio"}) + "\n" for name in new), encoding="utf-8")


def _name(text: str) -> str:
    """A name as it may stand in their addresses: lower case, without other signs."""
    return re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-.") or "unknown"


def _naive(label: Label) -> str:
    return label.created_at.replace(tzinfo=None).isoformat(timespec="milliseconds")
