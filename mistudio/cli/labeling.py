"""``label`` and ``score``: start, resume or retry a run and stay with it until it ends."""

from collections.abc import Callable
from typing import Annotated

import typer
from sqlalchemy import Engine

from mistudio.cli import batch, running
from mistudio.cli.options import WHICH, AsJson, Database, ExtractionId, ScoreAbove, ScoreBelow, opened, selection, takes
from mistudio.cli.quality import print_summaries
from mistudio.label.config import LabelConfig
from mistudio.run.config import RunConfig
from mistudio.score.config import ScoreConfig
from mistudio.store import open_store, session

Resume = Annotated[int | None, typer.Option(metavar="RUN", help="Go on with a run that stopped.")]
RetryFailed = Annotated[int | None, typer.Option(
    metavar="RUN", help="Go on with a run, and ask again for the features that failed.")]


def _command(verb: str, config_type: type[RunConfig], about: str, usual: str, jobs: Callable[[], tuple],
             report: Callable[[Engine, int], None] | None = None) -> Callable:
    """A command for runs of one kind.

    Args:
        about: the command's help.
        usual: which features it is for when none are named.
        jobs: what makes an estimate and what queues a run, imported when they are needed.
        report: prints more of a run that has ended.
    """

    said = f"{WHICH} Default: {usual}{', or labeled with a bound of the score' if usual != 'labeled' else ''}."

    def run(given: dict, *, db: Database = None, extraction: ExtractionId = None, as_json: AsJson = False,
            features: Annotated[str | None, typer.Option(help=said)] = None, score_above: ScoreAbove = None,
            score_below: ScoreBelow = None, resume: Resume = None, retry_failed: RetryFailed = None,
            files: batch.More = None, batch_out: batch.Out = None, batch_in: batch.In = None,
            batch_submit: batch.Submit = False, batch_status: batch.Status = None) -> None:
        engine = open_store(db)
        if batch.answers(engine, given, batch_in, files, batch_status, as_json=as_json):
            return
        sent, check = batch_out is not None or batch_submit, batch.checks(batch_out, batch_submit)
        run_id = running.again(engine, given, resume, retry_failed, check)
        if run_id is None:
            engine, chosen = opened(db, extraction)
            config = config_type.checked(**given)
            bounded = score_above is not None or score_below is not None
            wanted = selection(features or ("labeled" if bounded else usual), chosen.d_sae, score_above, score_below)
            check(config)
            estimate, start = jobs()
            if not as_json:
                running.print_estimate(estimate(engine, chosen.id, config, wanted, batch=sent), verb)
            run_id = start(engine, chosen.id, config, wanted)
        if sent:
            batch.send(engine, run_id, batch_out, as_json=as_json)
            return
        running.finish(engine, run_id, as_json=as_json, report=report)

    run.__name__, run.__doc__ = verb, about
    return takes(config_type)(run)


def _labeling() -> tuple:
    from mistudio.jobs.estimate import estimate
    from mistudio.jobs.labeling import start_run

    return estimate, start_run


def _scoring() -> tuple:
    from mistudio.jobs.estimate import estimate_scores
    from mistudio.jobs.scoring import start_scores

    return estimate_scores, start_scores


def _print_scores(engine: Engine, run_id: int) -> None:
    from mistudio.score.report import run_summaries

    with session(engine) as work:
        print_summaries(run_summaries(work, run_id))


label = _command(
    "label", LabelConfig, "Name features with a language model. Each label is stored as it arrives; Ctrl-C stops, "
    "--resume goes on.", "unlabeled", _labeling)
score = _command(
    "score", ScoreConfig, "Measure how well labels tell active from silent windows that the labeler never saw.",
    "labeled", _scoring, _print_scores)
