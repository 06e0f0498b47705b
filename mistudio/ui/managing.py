"""Rename and delete extractions."""

from pathlib import Path

import streamlit as st
from sqlalchemy import Engine

from mistudio import background
from mistudio.settings import settings
from mistudio.store.engine import open_store, session
from mistudio.store.extractions import begin_deletion, list_extractions, rename_extraction
from mistudio.store.space import megabytes, size
from mistudio.store.tables import Extraction
from mistudio.ui.failing import guard
from mistudio.ui.page import Here, link, told_apart
from mistudio.ui.tokens import markdown_safe


def manage(here: Here) -> None:
    """Every extraction with what can be done to it, and the size of the database."""
    with session(here.engine) as work:
        found = list_extractions(work)
    names = told_apart(found)
    for row in found:
        with st.container(border=True):
            text, actions = st.columns([3, 2], vertical_alignment="center")
            with text:
                st.markdown(f"**{markdown_safe(names[row.id])}**")
                state = "" if row.state == "done" else f" · {row.state}"
                st.caption(markdown_safe(f"{described(row)} · {row.created_at:%d %B %Y}{state}"))
            with actions.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center"):
                if row.state == "done" and row.id != here.id:
                    link("app.py", "Open", ":material/open_in_full:", extraction_id=row.id)
                # Another key is another popover: what was open closes when its work is done.
                with st.popover("Rename", icon=":material/edit:", key=f"rename-{row.id}-{row.name}"):
                    _rename(here.engine, row)
                with st.popover("Delete", icon=":material/delete:", key=f"delete-{row.id}-{row.state}",
                                disabled=row.state in ("running", "deleting")):
                    _delete(here.engine, row, names[row.id])
    used = size(here.engine)
    if used is not None:
        st.caption(f"The database takes {megabytes(used)} on the disk.")


def described(row: Extraction) -> str:
    """What an extraction was made of. A local corpus is named without its place on this machine."""
    corpus = Path(row.corpus).name if Path(row.corpus).is_absolute() else row.corpus
    return (f"{row.model} at {row.hook_point} · SAE {row.sae}, {row.architecture}, {row.d_sae:,} features · "
            f"{row.tokens:,} tokens of {corpus}")


def _rename(engine: Engine, row: Extraction) -> None:
    with guard(), st.form(f"new-name-{row.id}", border=False):
        name = st.text_input("Name", value=row.name, key=f"name-{row.id}", max_chars=120)
        if st.form_submit_button("Save", key=f"save-{row.id}", icon=":material/save:", type="primary"):
            with session(engine) as work:
                rename_extraction(work, row.id, name)
            st.rerun()


def _delete(engine: Engine, row: Extraction, name: str) -> None:
    with guard():
        st.markdown(f"**{markdown_safe(name)}** goes for good, with its features and examples, all their labels, also "
                    "those written by people, scores and runs. Labels that you exported stay.")
        typed = st.text_input("Type its name to delete it", key=f"typed-{row.id}", live="400ms", placeholder=name)
        busy = background.status() is not None and background.status().running
        if busy:
            st.caption("Another job is going on here. Delete when it has ended.")
        if st.button("Delete for good", type="primary", icon=":material/delete_forever:", key=f"for-good-{row.id}",
                     disabled=busy or typed.strip() != name):
            start_deletion(engine, row)


def start_deletion(engine: Engine, row: Extraction) -> None:
    """Take an extraction off the pages and delete it in the background.

    Raises:
        StoreError: a run of it goes on or waits for answers.
    """
    url, extraction_id = settings().url, row.id
    with session(engine) as work:
        begin_deletion(work, extraction_id)

    def job(progress: background.Progress) -> str:
        from mistudio.jobs.deleting import delete

        return delete(open_store(url), extraction_id, progress)

    background.start(f"Deleting {row.name}", job)
    if st.query_params.get("x") == str(extraction_id):
        del st.query_params["x"]
    st.rerun()
