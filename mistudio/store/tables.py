"""The tables. Times are UTC; ``index`` is always a feature's index in its SAE."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Float,
    Index,
    LargeBinary,
    UniqueConstraint,
    literal_column,
    text,
)
from sqlalchemy.types import TypeDecorator
from sqlmodel import Field, SQLModel, col


def now() -> datetime:
    """The current time, with its zone."""
    return datetime.now(UTC)


class UTCDateTime(TypeDecorator):
    """A time with zone on every database: SQLite drops the zone, PostgreSQL gives it in one of its own."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect) -> datetime | None:
        return value if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect) -> datetime | None:
        return value if value is None else value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


def time_column(**kwargs) -> Any:
    return Field(default=None, sa_type=UTCDateTime, **kwargs)


def author_column() -> Any:
    """Who did it; "" where nobody noted that."""
    return Field(default="", sa_column_kwargs={"server_default": ""})


class Extraction(SQLModel, table=True):
    """One pass of model and SAE over a corpus. ``state`` is running, done, failed, cancelled or deleting."""

    id: int | None = Field(default=None, primary_key=True)
    name: str
    model: str
    model_revision: str = ""
    hook_point: str
    sae: str
    sae_hash: str
    architecture: str
    d_in: int
    d_sae: int
    corpus: str
    tokens: int = Field(default=0, sa_type=BigInteger)
    contexts: int = 0
    context_length: int
    window: int
    dtype: str
    device: str = ""
    config: dict = Field(default_factory=dict, sa_type=JSON)
    state: str = "running"
    error: str = ""
    vocabulary_hash: str = ""
    seconds: float = 0.0
    author: str = author_column()
    created_at: datetime = Field(default_factory=now, sa_type=UTCDateTime)
    finished_at: datetime | None = time_column()


class Vocabulary(SQLModel, table=True):
    """The text of every token id of a tokenizer (zlib-compressed JSON list), so that pages need no tokenizer."""

    hash: str = Field(primary_key=True)
    tokens: bytes = Field(sa_type=LargeBinary)


class Feature(SQLModel, table=True):
    """One SAE latent. ``state`` is live, rare, dense or dead; ``label_id`` points at its current label.

    It is no foreign key: labels already point at features, and a circle of constraints helps nobody. What comes after
    it is the current label's, kept here too (by ``store.labels``) so that a million features can be filtered, counted
    and sorted by it: ``label_state`` is unlabeled, unreviewed, approved, rejected or human, ``label_key`` the label's
    text to sort by, and the rest is null where the label has none. ``seen`` says that a person had it open in Review.
    """

    __table_args__ = (
        UniqueConstraint("extraction_id", "index"),
        Index("ix_feature_label", "extraction_id", "label_id"),
    )

    id: int | None = Field(default=None, primary_key=True)
    extraction_id: int = Field(foreign_key="extraction.id", ondelete="CASCADE")
    index: int
    density: float
    active_tokens: int = Field(sa_type=BigInteger)
    max_activation: float
    mean_activation: float
    state: str
    histogram: list = Field(default_factory=list, sa_type=JSON, description="[lower edge, upper edge, count] a bin.")
    top_tokens: list = Field(default_factory=list, sa_type=JSON, description="[token, count, mean activation] each.")
    promoted: list = Field(default_factory=list, sa_type=JSON, description="[token, logit weight], strongest first.")
    suppressed: list = Field(default_factory=list, sa_type=JSON, description="[token, logit weight], lowest first.")
    starred: bool = False
    note: str = ""
    noted_by: str = author_column()
    label_id: int | None = None
    score: float | None = None
    label_state: str = "unlabeled"
    label_key: str | None = None
    origin: str | None = None
    provider: str | None = None
    kind: str | None = None
    confidence: float | None = None
    disagreement: float | None = None
    seen: bool = False


# How soon a person should look at a feature, larger is sooner; null but for labels that nobody judged yet. What it is
# made of adds up: a low score, a high density, methods that disagree, never seen. As text: databases take their index
# for it only where it is written as in the index.
_NEED = ("CASE WHEN ({0}label_state = 'unreviewed') THEN 1.5 - coalesce({0}score, 0.5) "
         "+ {0}density / ({0}density + 0.01) + coalesce({0}disagreement, 0.0) "
         "- CASE WHEN {0}seen THEN 0.5 ELSE 0.0 END END")
NEED = literal_column(_NEED.format("feature."), Float)
# One index for each thing to sort by; ties are in order of index.
SORTED = {"label": col(Feature.label_key), "score": col(Feature.score), "density": col(Feature.density),
          "max_activation": col(Feature.max_activation), "confidence": col(Feature.confidence),
          "state": col(Feature.state), "label_state": col(Feature.label_state), "kind": col(Feature.kind),
          "provider": col(Feature.provider), "origin": col(Feature.origin),
          "disagreement": col(Feature.disagreement), "need": NEED}
for _name, _column in SORTED.items():
    Index(f"ix_feature_by_{_name}", col(Feature.extraction_id),
          text(f"({_NEED.format('')})") if _name == "need" else _column, col(Feature.index))
# Everything to filter by in one place: what asks for several of these reads nothing else.
_FILTERED = [col(column) for column in (
    Feature.extraction_id, Feature.label_state, Feature.state, Feature.kind, Feature.origin, Feature.provider,
    Feature.starred, Feature.score, Feature.density, Feature.max_activation, Feature.index)]
Index("ix_feature_filter", *_FILTERED)
# The same of a sample, so that an estimate reads no more than it shows.
SAMPLED = 16


def one_in(number: int, column: str = "id") -> str:
    """A condition that one in so many features meet: always the same ones, spread without a step that a pattern could
    follow. Those of a larger number are among those of a smaller."""
    # Multiples of the golden ratio, in whole numbers that PostgreSQL's integers hold.
    return f"{column} % 32768 * 20251 % 32768 < {32768 // number}"


Index("ix_feature_sample", *_FILTERED, sqlite_where=text(one_in(SAMPLED)), postgresql_where=text(one_in(SAMPLED)))
Index("ix_feature_starred", col(Feature.extraction_id), col(Feature.index), sqlite_where=col(Feature.starred).is_(True),
      postgresql_where=col(Feature.starred).is_(True))


class FeatureCount(SQLModel, table=True):
    """How many features of an extraction are in a pair of states, how many of these have a score, and the sum of these
    scores. The database keeps them itself (``store.counts``)."""

    extraction_id: int = Field(primary_key=True, foreign_key="extraction.id", ondelete="CASCADE")
    state: str = Field(primary_key=True)
    label_state: str = Field(primary_key=True)
    features: int
    scored: int
    score_sum: float


class FeatureExamples(SQLModel, table=True):
    """All examples of a feature in one blob (``store.examples``)."""

    feature_id: int = Field(primary_key=True, foreign_key="feature.id", ondelete="CASCADE")
    blob: bytes = Field(sa_type=LargeBinary)


class FeatureNearest(SQLModel, table=True):
    """The features whose decoder directions are most like a feature's (``store.nearest``)."""

    feature_id: int = Field(primary_key=True, foreign_key="feature.id", ondelete="CASCADE")
    blob: bytes = Field(sa_type=LargeBinary)


class ReferenceWindow(SQLModel, table=True):
    """A random window with every feature's activation in it, so that inactivity is known (``store.examples``)."""

    __table_args__ = (UniqueConstraint("extraction_id", "number"),)

    id: int | None = Field(default=None, primary_key=True)
    extraction_id: int = Field(foreign_key="extraction.id", ondelete="CASCADE")
    number: int
    blob: bytes = Field(sa_type=LargeBinary)


class ReferenceVectors(SQLModel, table=True):
    """What reference windows of a split mean: their numbers (int32) and unit vectors (float16), in the same order.
    ``key`` names the encoder and the texts; with another key they are of no use."""

    extraction_id: int = Field(primary_key=True, foreign_key="extraction.id", ondelete="CASCADE")
    split: str = Field(primary_key=True)
    key: str
    numbers: bytes = Field(sa_type=LargeBinary)
    vectors: bytes = Field(sa_type=LargeBinary)


class Label(SQLModel, table=True):
    """A name given to a feature. Rows are only ever added; ``verdict`` is what a person said of this label.

    ``origin`` is llm, human, import or statistics; ``verdict`` is "", approved or rejected. ``cost`` is US dollars,
    null when the price is not known. ``confidence`` is the labeler's own, 0 to 1, null when it gave none. ``score`` is
    the latest measured quality on the test split, by ``score_method`` (``store.scores``); null when it was not
    measured. ``disagreement`` is how far its latest detection and fuzzing scores lie apart, null without both.
    """

    __table_args__ = (
        Index("ix_label_feature", "feature_id"), Index("ix_label_run", "run_id"),
        Index("ix_label_answered", "provider", "id", "model", sqlite_where=text("seconds IS NOT NULL"),
              postgresql_where=text("seconds IS NOT NULL")))

    id: int | None = Field(default=None, primary_key=True)
    feature_id: int = Field(foreign_key="feature.id", ondelete="CASCADE")
    text: str
    explanation: str = ""
    kind: str = ""
    confidence: float | None = None
    origin: str
    provider: str = ""
    model: str = ""
    prompt: str = ""
    prompt_hash: str = ""
    evidence: dict = Field(default_factory=dict, sa_type=JSON, description="Strategy, seed, ids shown.")
    reply: str = ""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost: float | None = None
    seconds: float | None = None
    author: str = ""
    run_id: int | None = None
    score: float | None = None
    score_method: str = ""
    disagreement: float | None = None
    verdict: str = ""
    verdict_by: str = ""
    verdict_at: datetime | None = time_column()
    created_at: datetime = Field(default_factory=now, sa_type=UTCDateTime)


class LabelVector(SQLModel, table=True):
    """The meaning vector of a label's text: unit length, float16, in the space of ``encoder``."""

    label_id: int = Field(primary_key=True, foreign_key="label.id", ondelete="CASCADE")
    encoder: str
    vector: bytes = Field(sa_type=LargeBinary)


class Run(SQLModel, table=True):
    """One job over many features; ``kind`` is label or score. ``state`` is queued, running, done, paused, cancelled,
    interrupted, failed, or waiting: for answers that come as files, and nobody works on it.

    A worker holds the lease while ``owner`` is set and ``heartbeat`` is fresh. ``stop`` is what somebody asked it to
    do: "", pause or cancel.
    """

    id: int | None = Field(default=None, primary_key=True)
    extraction_id: int = Field(foreign_key="extraction.id", ondelete="CASCADE")
    kind: str = "label"
    state: str = "queued"
    config: dict = Field(default_factory=dict, sa_type=JSON)
    prompt_tokens: int = Field(default=0, sa_type=BigInteger)
    completion_tokens: int = Field(default=0, sa_type=BigInteger)
    cost: float | None = Field(default=None, description="US dollars so far; null while no price is known.")
    message: str = ""
    author: str = author_column()
    owner: str = ""
    heartbeat: datetime | None = time_column()
    stop: str = ""
    created_at: datetime = Field(default_factory=now, sa_type=UTCDateTime)
    started_at: datetime | None = time_column()
    finished_at: datetime | None = time_column()


class RunItem(SQLModel, table=True):
    """One feature of a run. ``state`` is queued, done, failed (with reason) or skipped (with reason).

    ``label_id`` is the label that a labeling run wrote, or that a scoring run is to score. ``reply`` is what a model
    said where no label came of it; of a queued item, the answers that came as files, while others are missing.
    """

    __table_args__ = (Index("ix_runitem_state", "run_id", "state"), Index("ix_runitem_feature", "feature_id"))

    run_id: int = Field(primary_key=True, foreign_key="run.id", ondelete="CASCADE")
    feature_id: int = Field(primary_key=True, foreign_key="feature.id", ondelete="CASCADE")
    state: str = "queued"
    reason_kind: str = ""
    reason: str = ""
    reply: str = ""
    label_id: int | None = None
    updated_at: datetime = Field(default_factory=now, sa_type=UTCDateTime)


class Score(SQLModel, table=True):
    """A measured quality of a label by one method: detection, fuzzing or embedding (``mistudio.score``).

    ``value`` is balanced accuracy, or AUROC for embedding, with a 95% interval from ``low`` to ``high``; ``weighted``
    is the same with active windows weighed by strength. ``baseline`` is the value that another feature's label got on
    the same windows, null where none was tried. ``split`` is select or test. ``recalls`` holds ``[right, all]`` of
    active windows by decile of the feature's activations and by strength; ``misjudged`` the windows that were judged
    wrongly; ``evidence`` the seed and the ids of all windows. ``cost`` is US dollars, null when not known.
    """

    __table_args__ = (Index("ix_score_label", "label_id", "method", "judge", "split"),
                      Index("ix_score_judge", "method", "judge", "id"))

    id: int | None = Field(default=None, primary_key=True)
    label_id: int = Field(foreign_key="label.id", ondelete="CASCADE")
    run_id: int | None = Field(default=None, index=True)
    method: str
    judge: str = ""
    split: str = "test"
    value: float
    low: float | None = None
    high: float | None = None
    weighted: float | None = None
    baseline: float | None = None
    precision: float | None = None
    recall: float | None = None
    n: int
    recalls: dict = Field(default_factory=dict, sa_type=JSON)
    misjudged: list = Field(default_factory=list, sa_type=JSON)
    evidence: dict = Field(default_factory=dict, sa_type=JSON)
    prompt_hash: str = ""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost: float | None = None
    seconds: float | None = None
    created_at: datetime = Field(default_factory=now, sa_type=UTCDateTime)


__all__ = ["Extraction", "Feature", "FeatureExamples", "FeatureNearest", "Label", "LabelVector", "ReferenceVectors",
           "ReferenceWindow", "Run", "RunItem", "Score", "Vocabulary", "now"]
