"""The demo's set-up from the model to the labels, with the real model and SAE, on a small corpus."""

import re
import subprocess
import sys

import pytest
from sqlmodel import select

from mistudio.demo.setup import run_demo
from mistudio.store import Extraction, Feature, Label, items, runs, session
from mistudio.store.extractions import coverage

TOKENS, LABELS = 10_000, 2
AGAIN = f"""
import sys
from mistudio.demo.setup import run_demo
from mistudio.store import open_store

steps = []
print(run_demo(open_store(sys.argv[1]), tokens={TOKENS}, label={LABELS},
               progress=lambda *step: steps.append(step)))
assert [step for step, _share, _detail in steps] == ["Done"], steps
assert not {{"torch", "transformers"}} & set(sys.modules)
"""

pytestmark = pytest.mark.usefixtures("demo_model_folder")


def rows(engine):
    with session(engine) as work:
        return work.exec(select(Extraction.id, Extraction.state)).all(), work.exec(select(Label)).all()


def test_the_demo_extracts_labels_and_says_how_far_it_is(engine, database_url):
    told = []
    extraction_id = run_demo(engine, tokens=TOKENS, label=LABELS, progress=lambda *step: told.append(step))

    extractions, labels = rows(engine)
    assert extractions == [(extraction_id, "done")]
    with session(engine) as work:
        extraction, counts = work.get_one(Extraction, extraction_id), coverage(work, extraction_id)
        named = [work.get_one(Feature, label.feature_id) for label in labels]
    assert extraction.tokens >= TOKENS and extraction.hook_point == "layers.9"
    assert counts.states["live"] > 100
    # On so little text a feature may have no example to show the labeler; it is skipped, and says so.
    with session(engine) as work:
        (run,) = runs.list_runs(work, extraction_id)
        counted, skipped = runs.run_counts(work, run.id), items.failures_by_reason(work, run.id, "skipped")
    assert run.state == "done"
    assert 1 <= counts.labeled == len(labels) == counted["done"] and counted["done"] + counted["skipped"] == LABELS
    assert [kind for kind, _reason, _count in skipped] in ([], ["no examples"])
    assert {label.provider for label in labels} == {"embedded"} and all(label.text for label in labels)
    assert {feature.state for feature in named} == {"live"}

    shares = [share for _step, share, _detail in told]
    assert shares == sorted(shares) and shares[0] >= 0 and told[-1] == ("Done", 1.0, "")
    running = [detail for step, _share, detail in told if step == "Running model and SAE"]
    assert len(running) > 1
    assert all(re.search(r"[\d,]+ of 10,000 tokens, [\d,]+ tokens/s, [\d,]+ s left", detail) for detail in running)

    again = subprocess.run([sys.executable, "-c", AGAIN, database_url], capture_output=True,
                           text=True, timeout=120)
    assert again.returncode == 0, again.stderr
    assert int(again.stdout) == extraction_id
    assert rows(engine) == (extractions, labels)
