"""Labels to and from files: what one installation exports, another imports without loss."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import numpy as np
from sqlalchemy import Engine
from sqlmodel import Session, col, select

from mistudio.access import require_write
from mistudio.errors import ExchangeError
from mistudio.exchange.rows import LabelRow, form_of, read_rows, row_of, write_rows
from mistudio.files import replacing
from mistudio.store import session
from mistudio.store.extractions import get_extraction
from mistudio.store.features import FeatureFilter, feature_ids
from mistudio.store.labels import add_label, is_protected, point_to
from mistudio.store.tables import Extraction, Feature, Label, now

AT_ONCE = 1000  # labels in memory


@dataclass(frozen=True)
class ImportReport:
    """What an import did: ``added`` labels are new and current, ``restored`` ones were in a feature's history and are
    current again, ``judged`` ones took over a verdict, ``kept`` features kept a person's label (the file's is in
    their history), ``unchanged`` rows were there already."""

    rows: int
    added: int = 0
    restored: int = 0
    judged: int = 0
    kept: int = 0
    unchanged: int = 0


def export_labels(engine: Engine, extraction_id: int, path: Path | str,
                  wanted: FeatureFilter = FeatureFilter()) -> int:
    """Write current labels to a ``.csv`` or ``.jsonl`` file; an existing file is replaced only by a whole one.

    Args:
        wanted: of which features.

    Returns:
        How many labels were written.

    Raises:
        ExchangeError: the ending is neither, or the file cannot be written.
    """
    require_write()
    path, count = Path(path), 0
    form = form_of(path)
    try:
        with session(engine) as work, replacing(path) as file:
            for line in write_rows(_rows(work, extraction_id, wanted), form):
                file.write(line.encode())
                count += 1
    except OSError as error:
        raise ExchangeError(f"{path} cannot be written: {error.strerror}.", "Choose another folder.") from error
    return count - (form == "csv")  # its header


def _rows(work: Session, extraction_id: int, wanted: FeatureFilter) -> Iterator[LabelRow]:
    """One for each current label, rejected ones too, in the order of features."""
    extraction = get_extraction(work, extraction_id)
    ids = feature_ids(work, extraction_id, wanted)
    for at in range(0, len(ids), AT_ONCE):
        found = work.exec(select(Feature, Label).join(Label, col(Feature.label_id) == Label.id)
                          .where(col(Feature.id).in_(ids[at:at + AT_ONCE])).order_by(col(Feature.index)))
        for feature, label in found:
            yield row_of(extraction, feature, label)
        work.expunge_all()


def import_labels(engine: Engine, extraction_id: int, path: Path | str, *,
                  replace_human: bool = False) -> ImportReport:
    """Read labels from a ``.csv`` or ``.jsonl`` file into an extraction: all of them, or on any error none.

    Args:
        replace_human: let the file's labels also replace what a person here wrote or approved.

    Raises:
        ExchangeError: the file cannot be read, is about another SAE, or a row does not fit; names row and column.
    """
    path = Path(path)
    form = form_of(path)
    try:
        with path.open("rb") as file:
            return import_file(engine, extraction_id, file, form, replace_human=replace_human)
    except OSError as error:
        raise ExchangeError(f"{path} cannot be read: {error.strerror}.", "Check the path.") from error


def import_file(engine: Engine, extraction_id: int, file: BinaryIO, form: str, *,
                replace_human: bool = False) -> ImportReport:
    """``import_labels`` of an open file, of which a part at a time is in memory."""
    counts: Counter[str] = Counter()
    with session(engine) as work:
        extraction = get_extraction(work, extraction_id)
        rows = _checked(extraction, read_rows(file, form))
        while part := list(islice(rows, AT_ONCE)):
            counts.update(_take_part(work, extraction, part, replace_human))
            work.flush()
            work.expunge_all()
    return ImportReport(rows=counts.total(), **counts)


def _checked(extraction: Extraction, rows: Iterator[tuple[int, LabelRow]]) -> Iterator[tuple[int, LabelRow]]:
    """The rows, as long as they belong here and name each feature once."""
    seen = np.zeros(extraction.d_sae, dtype=np.int64)
    for number, row in rows:
        for name in ("model", "hook_point", "sae_hash"):
            value, own = getattr(row, name), getattr(extraction, name)
            if value and value != own:
                raise ExchangeError(f"Row {number}, column {name}: these labels are for {value[:200]!r}, and "
                                    f"extraction {extraction.id} has {own!r}.",
                                    "Import into the extraction they belong to, or leave that column empty.")
        if row.feature >= extraction.d_sae:
            raise _unknown(extraction, number, row)
        if seen[row.feature]:
            raise ExchangeError(f"Row {number}, column feature: feature {row.feature} was already labeled in row "
                                f"{seen[row.feature]}.", "Keep one row a feature.")
        seen[row.feature] = number
        yield number, row


def _unknown(extraction: Extraction, number: int, row: LabelRow) -> ExchangeError:
    return ExchangeError(f"Row {number}, column feature: extraction {extraction.id} has no feature {row.feature}.",
                         f"Indices run from 0 to {extraction.d_sae - 1}.")


def _take_part(work: Session, extraction: Extraction, rows: list[tuple[int, LabelRow]],
               replace_human: bool) -> Iterator[str]:
    """What became of each row."""
    features = {feature.index: feature for feature in work.exec(select(Feature).where(
        Feature.extraction_id == extraction.id, col(Feature.index).in_([row.feature for _number, row in rows])))}
    known: dict[int, list[Label]] = {}
    for label in work.exec(select(Label).where(col(Label.feature_id).in_([each.id for each in features.values()]))
                           .order_by(col(Label.id).desc())):
        known.setdefault(label.feature_id, []).append(label)
    for number, row in rows:
        feature = features.get(row.feature)
        if feature is None:
            raise _unknown(extraction, number, row)
        yield _take(work, feature, row, known.get(feature.id, []), replace_human)


def _take(work: Session, feature: Feature, row: LabelRow, known: list[Label], replace_human: bool) -> str:
    current = next((label for label in known if label.id == feature.label_id), None)
    same = next((label for label in known if _same(label, row)), None)
    if same is not None and same is current:
        return _judge(work, same, row, replace_human)
    if same is None:
        same = _label(feature, row)
        # A file's own human label is no reason to replace the one a person gave here.
        if not replace_human and is_protected(current):
            work.add(same)
            return "kept"
        add_label(work, same, replace_protected=True)
        return "added"
    if not replace_human and is_protected(current):
        return "kept"
    point_to(work, feature.id, same.id)
    _judge(work, same, row, replace_human)
    return "restored"


def _same(label: Label, row: LabelRow) -> bool:
    return ((label.text, label.explanation, label.kind, label.confidence, label.origin, label.provider, label.model,
             label.author) == (row.label, row.explanation, row.kind, row.confidence, row.origin, row.provider,
                               row.label_model, row.author)
            and (row.created_at is None or label.created_at == row.created_at))


def _judge(work: Session, label: Label, row: LabelRow, replace_human: bool) -> str:
    if row.verdict == label.verdict or not row.verdict or (label.verdict and not replace_human):
        return "unchanged"
    label.verdict, label.verdict_by, label.verdict_at = row.verdict, row.verdict_by, row.verdict_at or now()
    work.add(label)
    return "judged"


def _label(feature: Feature, row: LabelRow) -> Label:
    return Label(feature_id=feature.id, text=row.label, explanation=row.explanation, kind=row.kind,
                 confidence=row.confidence, origin=row.origin, provider=row.provider, model=row.label_model,
                 author=row.author, verdict=row.verdict, verdict_by=row.verdict_by, verdict_at=row.verdict_at,
                 created_at=row.created_at or now())
