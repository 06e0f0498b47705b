"""A label of a person's own: the form opens at a key, with the cursor at the end of the label."""

import streamlit as st

from mistudio.store.tables import Feature, Label
from mistudio.ui import judging
from mistudio.ui.page import Here

# Streamlit cannot put the cursor into a field. The field may be drawn a moment after this runs, and its text a moment
# after the field: what is typed before the text is there would stand in its place.
_FOCUS = """<script>/* %d */(() => {
  const until = performance.now() + 5000;
  const look = () => {
    const field = document.querySelector('.st-key-edit-fields input');
    if (field && (field.value || %s)) {
      field.focus();
      field.setSelectionRange(field.value.length, field.value.length);
    } else if (performance.now() < until) requestAnimationFrame(look);
  };
  look();
})()</script>"""


def start_editing(feature: Feature) -> None:
    """Open the form for a feature, with the cursor in it."""
    st.session_state["editing"] = feature.id
    st.session_state["focused"] = st.session_state.get("focused", 0) + 1


def edit_form(here: Here, feature: Feature, label: Label | None) -> None:
    """The form, where it was asked for or where there is no label yet."""
    asked = st.session_state.get("editing") == feature.id
    if not asked and label is not None:
        return
    with st.form(f"edit-{feature.id}"):
        # The label's id is in the keys, so that the fields start from the label that is current now.
        suffix = f"{feature.id}-{label.id if label else 0}"
        with st.container(key="edit-fields"):
            text = st.text_input("Label", value=label.text if label else "", key=f"text-{suffix}", max_chars=120,
                                 placeholder="A short name, at most 8 words")
            explanation = st.text_area("Explanation", value=label.explanation if label else "", key=f"why-{suffix}",
                                       height=90, help="Ctrl+Enter saves from here.")
        with st.container(horizontal=True):
            saved = st.form_submit_button("Save", icon=":material/save:", type="primary",
                                          help="Enter in the label, or Ctrl+Enter in the explanation, saves too.")
            if label is not None:
                st.form_submit_button("Cancel", shortcut="Esc", on_click=_stop)
    if asked:
        empty = "true" if label is None or not label.text else "false"
        st.html(_FOCUS % (st.session_state["focused"], empty), unsafe_allow_javascript=True)
    if saved:
        judging.edit(here.engine, feature, text, explanation)
        _stop()
        st.toast("Saved as your own label.", icon=":material/check:")
        st.query_params["f"] = str(feature.index)  # it may have left the queue, and is to stay in view
        st.rerun()


def _stop() -> None:
    st.session_state.pop("editing", None)
