"""Several people at once while a run labels, over the real protocol: ``benchmarks.load``, small."""

from benchmarks.load import load
from tests.toy import add_toy_extraction


def test_people_who_work_while_a_run_labels_see_no_error_and_nothing_is_lost(engine, database_url):
    add_toy_extraction(engine, features=3001)
    found = load(database_url, people=5, seconds=5, think=0.2, rate=20, least=15)
    assert found.errors == []
    assert found.lost == [] and found.writes >= 15
    assert found.labels == found.asked > 0
    assert all(waits for waits in found.waits.values()) and len(found.waits) > 5
