"""A database of an older version is brought up with what is in it."""

from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import MetaData, create_engine, insert, make_url, text

from mistudio.errors import StoreError
from mistudio.store import open_store, session
from mistudio.store.engine import MIGRATIONS, newest_version
from mistudio.store.features import FeatureFilter, count_features, get_feature, list_features
from mistudio.store.tables import now

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


@pytest.fixture
def old(database_url):
    """Upgrade an empty database to a revision, give rows to its tables, and open it with the version of today."""
    opened = []

    def opened_with(revision: str, rows: dict[str, list[dict]]):
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
            for table in tables.sorted_tables:
                for row in rows.get(table.name, []):
                    connection.execute(insert(table), row)
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
    assert ScriptDirectory.from_config(config).get_current_head() == newest_version()


def test_a_database_of_a_later_version_is_a_message(engine, database_url):
    with session(engine) as work:
        work.exec(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match="another version of mistudio"):
        open_store(database_url)
