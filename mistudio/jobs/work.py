"""Work on a run of whichever kind."""

from sqlalchemy import Engine

from mistudio.jobs.labeling import LabelJob
from mistudio.jobs.scoring import ScoreJob
from mistudio.label.config import LabelConfig
from mistudio.label.providers import Provider, make_provider
from mistudio.run import loop
from mistudio.run.config import RunConfig
from mistudio.score.config import ScoreConfig
from mistudio.store import runs, session
from mistudio.store.tables import Run


def config_of(run: Run) -> RunConfig:
    """The config a run was started with."""
    return {"label": LabelConfig, "score": ScoreConfig}[run.kind].stored(run.config)


def provider_of(config: RunConfig, api_key: str | None = None) -> Provider | None:
    """What answers in a run; None when nobody is asked.

    Raises:
        ProviderSetupError: no model is chosen, or a key is missing.
    """
    return None if config.provider == "none" else make_provider(config, api_key)


def job_of(engine: Engine, run: Run, provider: Provider | None) -> LabelJob | ScoreJob:
    """What a run does with each of its items."""
    return (LabelJob if run.kind == "label" else ScoreJob)(engine, run.id, config_of(run), provider)


def work_run(engine: Engine, run_id: int, *, api_key: str | None = None,
             on_progress: loop.OnProgress | None = None) -> str:
    """Work on a queued run: ``mistudio.run.loop.work``.

    Args:
        api_key: handed to the provider and kept nowhere else.

    Raises:
        MistudioError: there is no such run, another worker has it, or its provider cannot be used.
    """
    with session(engine) as work:
        run = runs.get_run(work, run_id)
    provider = provider_of(config_of(run), api_key)
    try:
        return loop.work(engine, run_id, job_of(engine, run, provider), on_progress)
    finally:
        if provider is not None:
            provider.close()
