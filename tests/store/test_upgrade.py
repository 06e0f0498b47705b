"""A database of an older version is brought up with what is in it."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import (
    JSON,
    Boolean,
    DateTime,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    String,
    create_engine,
    insert,
    inspect,
    make_url,
    select,
    text,
)

from mistudio.errors import StoreError
from mistudio.store import open_store, session
from mistudio.store.features import FeatureFilter, count_features, get_feature, list_features
from mistudio.store.schema import MIGRATIONS, versions
from mistudio.store.tables import SQLModel, now

pytestmark = pytest.mark.filterwarnings("ignore:.*expression-based index")
EXTRACTION = {"id": 1, "name": "old", "model": "m", "model_revision": "", "hook_point": "layers.0", "sae": "s",
              "sae_hash": "0", "architecture": "topk", "d_in": 4, "d_sae": 9, "corpus": "c", "tokens": 10,
              "contexts": 1, "context_length": 16, "window": 8, "dtype": "float32", "device": "", "config": {},
              "state": "done", "error": "", "vocabulary_hash": "", "seconds": 0.0, "created_at": now()}
FEATURE = {"extraction_id": 1, "density": 0.01, "active_tokens": 5, "max_activation": 2.0, "mean_activation": 1.0,
           "state": "live", "histogram": [], "top_tokens": [], "promoted": [], "suppressed": [], "starred": False,
           "note": ""}
LABEL = {"explanation": "", "kind": "code", "confidence": 0.5, "origin": "llm", "provider": "openai", "model": "gpt-x",
         "prompt": "", "prompt_hash": "", "evidence": {}, "reply": "", "author": "", "verdict": "", "verdict_by": "",
         "created_at": now()}
SCORE = {"judge": "j", "n": 40, "split": "test", "recalls": {}, "misjudged": [], "evidence": {}, "prompt_hash": "",
         "created_at": now()}
# By feature: what its label says and is, and its scores by method.
LABELS = {1: ({"text": "Éclair"}, {"detection": 0.9, "fuzzing": 0.6}),
          2: ({"text": "apple", "verdict": "approved"}, {}),
          3: ({"text": "bread", "verdict": "rejected", "provider": "", "kind": ""}, {"detection": 0.4}),
          4: ({"text": "Cake", "origin": "human", "verdict": "approved"}, {})}

BY_THEMSELVES = ("alembic_version", "featurecount")
# Nothing ever wrote scores before version 2, which makes their table anew.
GONE = {"0001": ("score",)}
# What a feature says of its current label, and a label of its scores, follows from these.
FOLLOW = {("label", "disagreement")} | {("feature", name) for name in (
    "score", "label_state", "label_key", "origin", "provider", "kind", "confidence", "disagreement")}


@pytest.fixture
def old(database_url):
    """Upgrade an empty database to a revision, give rows to its tables, and open it with the version of today."""
    opened = []

    def opened_with(revision: str, rows: dict[str, list[dict]] | Callable, *also: str):
        if database_url.startswith("sqlite"):
            Path(make_url(database_url).database).unlink()
        engine = create_engine(make_url(database_url).set(
            drivername="sqlite" if database_url.startswith("sqlite") else "postgresql+psycopg"))
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        with engine.begin() as connection:
            if engine.dialect.name == "postgresql":
                connection.execute(text("DROP SCHEMA public CASCADE"))
                connection.execute(text("CREATE SCHEMA public"))
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
            tables = MetaData()
            tables.reflect(connection)
            given = rows(tables) if callable(rows) else rows
            for table in tables.sorted_tables:
                for row in given.get(table.name, []):
                    connection.execute(insert(table), row)
            for statement in also:
                connection.execute(text(statement))
        engine.dispose()
        opened.append(open_store(database_url))
        return opened[-1]

    yield opened_with
    for engine in opened:
        engine.dispose()


def test_features_get_what_their_labels_hold(old):
    labels, scores = [], []
    for index, (label, values) in LABELS.items():
        # Each has a label of before, too, which is not current.
        labels += [LABEL | {"id": 2 * index, "feature_id": index, "text": "of before", "verdict": ""},
                   LABEL | {"id": 2 * index + 1, "feature_id": index, "verdict": "",
                            "score": values.get("detection")} | label]
        scores += [SCORE | {"label_id": 2 * index + 1, "method": method, "value": value}
                   for method, value in values.items()]
    engine = old("0004", {
        "extraction": [EXTRACTION], "label": labels, "score": scores,
        "feature": [FEATURE | {"id": index, "index": index, "label_id": 2 * index + 1 if index in LABELS else None,
                               "score": LABELS.get(index, ({}, {}))[1].get("detection")} for index in range(6)]})
    with session(engine) as work:
        found = {feature.index: feature for feature, _label in list_features(work, 1)}
        assert [found[index].label_state for index in range(6)] == [
            "unlabeled", "unreviewed", "approved", "rejected", "human", "unlabeled"]
        first = found[1]
        assert (first.label_key, first.origin, first.provider, first.kind, first.confidence, first.seen) == (
            "éclair", "llm", "openai", "code", 0.5, False)
        assert first.disagreement == pytest.approx(0.3)
        assert get_feature(work, 1, 1)[1].disagreement == pytest.approx(0.3)
        assert (found[3].kind, found[3].provider, found[3].disagreement) == (None, None, None)
        assert (found[0].label_key, found[0].origin) == (None, None)
        by_label = [feature.index for feature, _label in list_features(work, 1, sort="label")]
        assert by_label[:3] == [2, 3, 4]
        assert list_features(work, 1, sort="need", descending=True, limit=1)[0][0].index == 1


def test_a_database_of_before_gets_the_scores_it_holds(old):
    engine = old("0002", {
        "extraction": [EXTRACTION],
        "label": [LABEL | {"id": 7, "feature_id": 3, "text": "scored", "score": 0.6, "score_method": "detection"},
                  LABEL | {"id": 8, "feature_id": 4, "text": "not scored"}],
        "feature": [FEATURE | {"id": index, "index": index, "label_id": label}
                    for index, label in ((3, 7), (4, 8), (5, None))]})
    with session(engine) as work:
        assert [get_feature(work, 1, index)[0].score for index in (3, 4, 5)] == [0.6, None, None]
        assert count_features(work, 1, FeatureFilter(labels="scored")) == 1


def test_the_newest_version_is_the_one_migrations_lead_to():
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_current_head() == versions()[-1]


def value_for(column, table):
    """Something to put into a column, of which only its kind is known."""
    if column.foreign_keys or (column.primary_key and column.name != "hash"):
        return 1 if isinstance(column.type, Integer) else "test"
    kinds = {Integer: 3, Float: 0.5, String: f"{table}.{column.name} ü", Boolean: True, DateTime: now(),
             LargeBinary: b"\0\1", JSON: [["x", 1, 2.0]]}
    return next(value for kind, value in kinds.items() if isinstance(column.type, kind))


@pytest.mark.parametrize("version", versions()[:-1])
def test_every_row_of_every_earlier_version_is_kept(old, version):
    """A row in each table of that version, whatever it was; tables that the database keeps itself it fills itself."""
    kept = {}

    def rows(tables):
        for table in tables.sorted_tables:
            if table.name not in BY_THEMSELVES and not table.name.startswith("label_fts"):
                kept[table.name] = {column.name: value_for(column, table.name) for column in table.columns}
        kept["feature"] |= {"label_id": 1, "state": "live", "index": 0}
        return {name: [row] for name, row in kept.items() if name not in GONE.get(version, ())}

    engine = old(version, rows)
    with engine.connect() as connection:
        tables = MetaData()
        tables.reflect(connection)
        for name, row in kept.items():
            if name in GONE.get(version, ()):
                continue
            [found] = connection.execute(select(tables.tables[name])).mappings()
            for column, value in row.items():
                if column in found and (name, column) not in FOLLOW:
                    there = found[column]
                    assert (there == value or isinstance(there, datetime)), (name, column, there)
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one() > version
    with session(engine) as work:
        assert count_features(work, 1) == 1
        feature, label = get_feature(work, 1, 0)
        assert label.id == 1
        assert feature.label_key == ("label.text ü" if version < "0005" else "feature.label_key ü")
    # Of today's version is what there is: nothing that the tables have is missing, and the other way round.
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert [change for change in compare_metadata(context, SQLModel.metadata) if not _known(change)] == []


def test_an_upgrade_that_fails_half_way_leaves_the_database_as_it_was(old, database_url):
    # What version 7 would make is there, so that it fails when version 6 has made its table.
    with pytest.raises(StoreError, match=r"ix_runitem_feature.* already exists"):
        old("0005", {}, "CREATE INDEX ix_runitem_feature ON runitem (feature_id)")
    engine = create_engine(make_url(database_url).set(
        drivername="sqlite" if database_url.startswith("sqlite") else "postgresql+psycopg"))
    with engine.connect() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one() == "0005"
        assert "featurenearest" not in inspect(connection).get_table_names()
    engine.dispose()


def _known(change):
    """What SQLAlchemy cannot read back: the full-text tables, and indexes of expressions."""
    return change[0] in ("remove_table", "remove_index", "add_index") and (
        "label_fts" in str(change) or "_words" in str(change) or "ix_feature_by_need" in str(change))
