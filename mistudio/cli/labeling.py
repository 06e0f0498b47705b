"""``label`` and ``score``: start, resume or retry a run and stay with it until it ends."""

from typing import Annotated

import typer

from mistudio.cli import batch, running
from mistudio.cli.options import AsJson, Database, ExtractionId, opened, selection, takes
from mistudio.cli.quality import print_summaries
from mistudio.label.config import LabelConfig
from mistudio.score.config import ScoreConfig
from mistudio.store import open_store, session

Features = Annotated[str, typer.Option(help="0-99,205, unlabeled, labeled, all, or another label state.")]
Resume = Annotated[int | None, typer.Option(metavar="RUN", help="Go on with a run that stopped.")]
RetryFailed = Annotated[int | None, typer.Option(
    metavar="RUN", help="Go on with a run, and ask again for the features that failed.")]


@takes(LabelConfig)
def label(given: dict, *, db: Database = None, extraction: ExtractionId = None, as_json: AsJson = False,
          features: Features = "unlabeled", resume: Resume = None, retry_failed: RetryFailed = None,
          files: batch.More = None, batch_out: batch.Out = None, batch_in: batch.In = None,
          batch_submit: batch.Submit = False, batch_status: batch.Status = None) -> None:
    """Name features with a language model. Each label is stored as it arrives; Ctrl-C stops, --resume goes on."""
    from mistudio.jobs.estimate import estimate
    from mistudio.jobs.labeling import start_run

    engine = open_store(db)
    if batch.answers(engine, given, batch_in, files, batch_status, as_json=as_json):
        return
    sent, check = batch_out is not None or batch_submit, batch.checks(batch_out, batch_submit)
    run_id = running.again(engine, given, resume, retry_failed, check)
    if run_id is None:
        engine, chosen = opened(db, extraction)
        config = LabelConfig.checked(**given)
        wanted = selection(features, chosen.d_sae)
        check(config)
        if not as_json:
            running.print_estimate(estimate(engine, chosen.id, config, wanted, batch=sent), "label")
        run_id = start_run(engine, chosen.id, config, wanted)
    if sent:
        batch.send(engine, run_id, batch_out, as_json=as_json)
        return
    running.finish(engine, run_id, as_json=as_json)


@takes(ScoreConfig)
def score(given: dict, *, db: Database = None, extraction: ExtractionId = None, as_json: AsJson = False,
          features: Features = "labeled", resume: Resume = None, retry_failed: RetryFailed = None,
          files: batch.More = None, batch_out: batch.Out = None, batch_in: batch.In = None,
          batch_submit: batch.Submit = False, batch_status: batch.Status = None) -> None:
    """Measure how well labels tell active from silent windows that the labeler never saw."""
    from mistudio.jobs.estimate import estimate_scores
    from mistudio.jobs.scoring import start_scores
    from mistudio.score.report import run_summaries

    engine = open_store(db)
    if batch.answers(engine, given, batch_in, files, batch_status, as_json=as_json):
        return
    sent, check = batch_out is not None or batch_submit, batch.checks(batch_out, batch_submit)
    run_id = running.again(engine, given, resume, retry_failed, check)
    if run_id is None:
        engine, chosen = opened(db, extraction)
        config = ScoreConfig.checked(**given)
        wanted = selection(features, chosen.d_sae)
        check(config)
        if not as_json:
            running.print_estimate(estimate_scores(engine, chosen.id, config, wanted, batch=sent), "score")
        run_id = start_scores(engine, chosen.id, config, wanted)
    if sent:
        batch.send(engine, run_id, batch_out, as_json=as_json)
        return

    def report() -> None:
        with session(engine) as work:
            print_summaries(run_summaries(work, run_id))

    running.finish(engine, run_id, as_json=as_json, report=report)
