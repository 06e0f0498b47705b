"""Set up the demo: model, SAE, extraction, first labels. Nothing is needed but what requirements.txt installs."""

import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Engine
from sqlmodel import col, select

from mistudio.access import require_write
from mistudio.demo.fetch import demo_model
from mistudio.errors import StoreError
from mistudio.memory import give_back
from mistudio.store import Extraction, session
from mistudio.store.extractions import coverage
from mistudio.store.features import FeatureFilter, list_features
from mistudio.store.runs import list_runs, run_counts

SAE_FOLDER = Path(__file__).parent / "smollm2-layers9-sae"
NAME = "Demo: SmolLM2-135M, layers.9"
TOKENS, LABELS = 250_000, 60
# Where each step starts on the way from 0 to 1.
EXTRACT_AT, LABEL_AT = 0.12, 0.75

Progress = Callable[[str, float, str], None]


def run_demo(engine: Engine, *, tokens: int = TOKENS, label: int = LABELS, progress: Progress | None = None) -> int:
    """Fetch the model, extract from the installed corpus, and label some features with the embedded provider.

    What an earlier call has done already is kept: a second call takes seconds.

    Args:
        tokens: size of the extraction.
        label: features to label, unless as many were asked for before.
        progress: called with the step, the share done (0 to 1), and details such as tokens/s and time left.

    Returns:
        the extraction's id.

    Raises:
        AccessError: the visitor may start nothing.
        MistudioError: a step failed; the message says which and what to do.
    """
    require_write()
    say = progress or (lambda _step, _share, _detail: None)
    extraction_id = _existing(engine, tokens)
    if extraction_id is None:
        # Heavy imports wait until they are needed, so that a second start stays quick.
        from mistudio.extract.config import ExtractConfig
        from mistudio.extract.pipeline import extract

        model = demo_model(lambda step: say(step, 0.01, ""))
        config = ExtractConfig(model=str(model), sae=str(SAE_FOLDER), corpus="demo", tokens=tokens, name=NAME)
        extraction_id = extract(engine, config, lambda step, share, detail: say(
            step, EXTRACT_AT + (LABEL_AT - EXTRACT_AT) * share, detail))
        # The labeler's model follows: a small host has no room for both.
        give_back()
    _label_some(engine, extraction_id, label, say)
    say("Done", 1.0, "")
    return extraction_id


def _existing(engine: Engine, tokens: int) -> int | None:
    with session(engine) as work:
        rows = work.exec(select(Extraction).where(Extraction.name == NAME, Extraction.state == "done")
                         .order_by(col(Extraction.id).desc()))
        return next((row.id for row in rows if row.config.get("tokens") == tokens), None)


def _label_some(engine: Engine, extraction_id: int, label: int, say: Progress) -> None:
    """Label features of middling density that fire strongly, in an ordinary run, until ``label`` are named."""
    with session(engine) as work:
        # Features that a run skipped or failed on count too, or every start of the demo would try them again.
        asked = sum(count for run in list_runs(work, extraction_id)
                    for state, count in run_counts(work, run.id).items() if state != "queued")
        missing = label - max(asked, coverage(work, extraction_id).labeled)
        # Neither the densest (function words) nor the rarest: the middle holds the patterns worth showing.
        wanted = FeatureFilter(labels="unlabeled", states=("live",), min_density=0.0004, max_density=0.004)
        chosen = [feature.index for feature, _label in list_features(
            work, extraction_id, wanted, sort="max_activation", descending=True, limit=max(missing, 0))]
    if missing <= 0 or not chosen:
        return
    from mistudio.jobs.labeling import start_run
    from mistudio.jobs.work import work_run
    from mistudio.label.config import LabelConfig
    from mistudio.run.loop import RunProgress

    say("Loading the embedded labeler", LABEL_AT, "")
    config = LabelConfig(provider="embedded")
    run_id = start_run(engine, extraction_id, config, FeatureFilter(indices=tuple(chosen)))
    started = time.monotonic()

    def shown(state: RunProgress) -> None:
        closed = sum(count for name, count in state.counts.items() if name != "queued")
        left = (len(chosen) - closed) * (time.monotonic() - started) / max(closed, 1)
        say("Labeling", LABEL_AT + (1 - LABEL_AT) * closed / len(chosen),
            f"{closed} of {len(chosen)} features, {left:,.0f} s left: {state.text}")

    work_run(engine, run_id, on_progress=shown)
    with session(engine) as work:
        if not coverage(work, extraction_id).labeled:
            raise StoreError("The extraction is there, but none of its features could be labeled.",
                             "Open the Label page: its list of runs says why.")


