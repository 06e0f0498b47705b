"""What the tests of runs share."""

from sqlmodel import func, select

from mistudio.jobs.labeling import start_run
from mistudio.jobs.work import work_run
from mistudio.label.config import LabelConfig
from mistudio.store import Label, runs, session
from mistudio.store.features import FeatureFilter, list_features
from tests.servers.openai_server import MODEL

EVERYTHING = FeatureFilter()
LABELABLE = 11  # the toy's twelfth feature is dead


def config_for(server, **options):
    usual = {"provider": "openai", "model": MODEL, "base_url": server.base_url, "concurrency": 3}
    return LabelConfig(**usual | options)


def run_all(engine, extraction_id, config, wanted=EVERYTHING):
    run_id = start_run(engine, extraction_id, config, wanted)
    return run_id, work_run(engine, run_id)


def counts(engine, run_id):
    with session(engine) as work:
        return runs.run_counts(work, run_id)


def labels_of(engine, extraction_id):
    with session(engine) as work:
        return [label.text if label else None for _feature, label in list_features(work, extraction_id, limit=None)]


def labels_a_feature(engine):
    with session(engine) as work:
        return list(work.exec(select(func.count()).select_from(Label).group_by(Label.feature_id)))
