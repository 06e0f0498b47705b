"""Labels to and from files: what one installation exports, another imports without loss."""

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine
from sqlmodel import Session, col, select

from mistudio.access import require_write
from mistudio.errors import ExchangeError
from mistudio.exchange.rows import LabelRow, form_of, read_rows, row_of, write_rows
from mistudio.files import write_whole
from mistudio.store import session
from mistudio.store.extractions import get_extraction
from mistudio.store.features import FeatureFilter, list_features
from mistudio.store.labels import add_label, is_protected, point_to
from mistudio.store.tables import Extraction, Feature, Label, now

LARGEST = 1 << 30  # bytes of a file of labels: two million of them


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


def export_text(engine: Engine, extraction_id: int, form: str = "csv",
                wanted: FeatureFilter = FeatureFilter()) -> tuple[str, int]:
    """The text of a file with current labels (rejected ones too, with their verdict), and how many it holds.

    Args:
        form: ``csv`` or ``jsonl``.
        wanted: of which features.
    """
    with session(engine) as work:
        extraction = get_extraction(work, extraction_id)
        pairs = list_features(work, extraction_id, wanted, limit=None)
        rows = [row_of(extraction, feature, label) for feature, label in pairs if label is not None]
    return write_rows(rows, form), len(rows)


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
    path = Path(path)
    text, count = export_text(engine, extraction_id, form_of(path), wanted)
    try:
        write_whole(path, text.encode())
    except OSError as error:
        raise ExchangeError(f"{path} cannot be written: {error.strerror}.", "Choose another folder.") from error
    return count


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
        if path.stat().st_size > LARGEST:
            raise ExchangeError(f"{path.name} is larger than {LARGEST >> 20:,} MiB.",
                                "Import it in parts, each with a header.")
        data = path.read_bytes()
    except OSError as error:
        raise ExchangeError(f"{path} cannot be read: {error.strerror}.", "Check the path.") from error
    return import_bytes(engine, extraction_id, data, form, replace_human=replace_human)


def import_bytes(engine: Engine, extraction_id: int, data: bytes, form: str, *,
                 replace_human: bool = False) -> ImportReport:
    """``import_labels`` for a file's content, as a page receives it."""
    rows = read_rows(data, form)
    counts: dict[str, int] = {}
    with session(engine) as work:
        extraction = get_extraction(work, extraction_id)
        _check(extraction, rows)
        features = {feature.index: feature for feature in work.exec(
            select(Feature).where(Feature.extraction_id == extraction_id))}
        known = _known(work, extraction_id)
        for number, row in rows:
            feature = features.get(row.feature)
            if feature is None:
                raise ExchangeError(f"Row {number}, column feature: extraction {extraction_id} has no feature "
                                    f"{row.feature}.", f"Indices run from 0 to {extraction.d_sae - 1}.")
            outcome = _take(work, feature, row, known.get(feature.id, []), replace_human)
            counts[outcome] = counts.get(outcome, 0) + 1
    return ImportReport(rows=len(rows), **counts)


def _check(extraction: Extraction, rows: list[tuple[int, LabelRow]]) -> None:
    seen: dict[int, int] = {}
    for number, row in rows:
        for name in ("model", "hook_point", "sae_hash"):
            value, own = getattr(row, name), getattr(extraction, name)
            if value and value != own:
                raise ExchangeError(f"Row {number}, column {name}: these labels are for {value[:200]!r}, and "
                                    f"extraction {extraction.id} has {own!r}.",
                                    "Import into the extraction they belong to, or leave that column empty.")
        if row.feature in seen:
            raise ExchangeError(f"Row {number}, column feature: feature {row.feature} was already labeled in row "
                                f"{seen[row.feature]}.", "Keep one row a feature.")
        seen[row.feature] = number


def _known(work: Session, extraction_id: int) -> dict[int, list[Label]]:
    labels: dict[int, list[Label]] = {}
    for label in work.exec(select(Label).join(Feature, col(Label.feature_id) == Feature.id)
                           .where(Feature.extraction_id == extraction_id).order_by(col(Label.id).desc())):
        labels.setdefault(label.feature_id, []).append(label)
    return labels


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
