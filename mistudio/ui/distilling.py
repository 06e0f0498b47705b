"""The form that makes a labeler of one's own from labels, and the adapters that there are."""

import streamlit as st
from sqlalchemy import Engine

from mistudio import background
from mistudio.demo.fetch import MODEL_NAME
from mistudio.distill.config import DistillConfig
from mistudio.errors import MistudioError
from mistudio.label import adapters
from mistudio.label.adapters import Adapter, Card
from mistudio.settings import settings
from mistudio.store.engine import open_store, session
from mistudio.store.labels import count_learnable
from mistudio.ui.failing import guard, show_error
from mistudio.ui.options import choose_options
from mistudio.ui.page import Here
from mistudio.ui.provider import choose_provider
from mistudio.ui.setup import show_job
from mistudio.ui.tokens import markdown_safe, readable

EXPLAINED = ("Label a few hundred features with the best model you have and approve what fits. A small model that runs "
             "here then learns from those labels, and can label all other features for nothing. Some labels are held "
             "out: they are never trained on and tell whether it is better than what there was before.")
MAIN = ("labels", "base")
JUDGE = ("judge", "judge_model", "judge_base_url")
ROWS = (("Similarity to the label", "similarity", ".3f"), ("Similarity to others' labels", "shuffled", ".3f"),
        ("Right label is the nearest", "top1", ".0%"), ("Right label is among the 5 nearest", "top5", ".0%"),
        ("Embedding score", "embedding", ".3f"), ("Detection", "detection", ".3f"),
        ("Without a usable label", "failed", "d"))
# Whatever else is kept of an adapter, a page shows no more of its labels.
SHOWN_LABELS = 200


def distill_form(here: Here, *, busy: bool) -> str | None:
    """Show the form, and below it every adapter. Returns the judge's key."""
    show_job(here.engine)
    left, right = st.columns([3, 2], gap="large")
    with left:
        st.caption(EXPLAINED)
        name = st.text_input("Name", key="adapter_name", persist_state="session", placeholder="for example my-labels",
                             help="Small letters, digits, - and _. It labels under this name: embedded:NAME.").strip()
        options = choose_options(DistillConfig, only=MAIN)
        with st.expander("Options", icon=":material/tune:"):
            options |= choose_options(DistillConfig, leave_out=(*MAIN, *JUDGE))
        with st.expander("Also measure by detection", icon=":material/gavel:"):
            judge = choose_provider(role="judge")
    options |= {"base": options["base"] or MODEL_NAME, "judge": judge.provider, "judge_model": judge.model,
                "judge_base_url": judge.base_url}
    with right, st.container(border=True), guard():
        st.subheader("Before you start")
        _before_start(here, name, DistillConfig.checked(**options), judge.api_key)
    st.fragment(_adapters, run_every=2.0 if _training() else None)(here.engine, judge.api_key, _training())
    return judge.api_key


def _before_start(here: Here, name: str, config: DistillConfig, api_key: str | None) -> None:
    from mistudio.distill.samples import FEWEST_LABELS, held_out_of

    with session(here.engine) as work:
        count = count_learnable(work, here.id, approved=config.labels == "approved", min_score=config.min_score)
    count = min(count, config.most)
    held_out = held_out_of(count, config)
    what = f"{'approved ' if config.labels == 'approved' else ''}label{'s' if count != 1 else ''}"
    st.markdown(f"**{count:,} {what}**" + (f"; {held_out:,} held out" if count >= FEWEST_LABELS else ""))
    running = background.status() is not None and background.status().running
    if count < FEWEST_LABELS:
        st.info(f"{FEWEST_LABELS} are the fewest, a few hundred are better. Approve labels in Review, or learn from "
                "current ones, which nobody has judged.", icon=":material/info:")
    elif running:
        st.caption("Another job is going on here. Start this one when it has ended.")
    elif not name:
        st.caption("Name the adapter to start.")
    else:
        st.caption(f"Measured against {'the shipped labeler' if config.base == MODEL_NAME else 'the model as it is'}. "
                   "It goes on in the background; you can cancel it and resume.")
    if st.button("Distill", type="primary", icon=":material/play_arrow:",
                 disabled=running or not name or count < FEWEST_LABELS):
        adapters.folder_of(name)  # says at once what is wrong with the name
        _start(name, api_key, config, here.id)


def _start(name: str, api_key: str | None, config: DistillConfig | None = None,
           extraction_id: int | None = None) -> None:
    """Distill in the background; without a config go on with a distillation that stopped."""
    url = settings().url

    def job(progress: background.Progress) -> None:
        from mistudio.distill.job import distill, resume

        engine = open_store(url)
        if config is None:
            resume(engine, name, progress=progress, api_key=api_key)
        else:
            distill(engine, name, config, extraction_id, progress=progress, api_key=api_key)

    background.start(_title(name), job)
    st.rerun(scope="app")


def _title(name: str) -> str:
    return f"Distilling {name}"


def _here(name: str) -> bool:
    """Whether this process trains it."""
    job = background.status()
    return job is not None and job.running and job.title == _title(name)


def _training() -> bool:
    return any(found.state == "training" for found in adapters.list_adapters())


def _adapters(engine: Engine, api_key: str | None, was_training: bool) -> None:
    with guard():
        found = adapters.list_adapters()
        if was_training and not any(each.state == "training" for each in found):
            st.rerun(scope="app")
        if found:
            st.subheader("Adapters")
        for each in found:
            title = f"**{adapters.PREFIX}{each.name}** · {_state(each)}"
            with st.expander(title, icon=":material/school:", expanded=each.state != "done"):
                if each.card is not None:
                    show_card(each.card)
                _actions(each, api_key)


def _state(found: Adapter) -> str:
    if found.card is None:
        return found.state
    return "better" if found.card.verdict.better else "not better"


def show_card(card: Card) -> None:
    """The verdict, and before and after."""
    show = st.success if card.verdict.better else st.warning
    show(markdown_safe(card.verdict.sentence), icon=":material/check:" if card.verdict.better else ":material/balance:")
    rows = [{"Measure": title, f"Before: {card.compared}": _number(getattr(card.before, name), form),
             f"After: {adapters.PREFIX}{card.name}": _number(getattr(card.after, name), form)}
            for title, name, form in ROWS if getattr(card.after, name) is not None]
    st.dataframe(rows, hide_index=True)
    left_out = "".join(f" {count:,} left out ({why})." for why, count in card.left_out.items())
    st.caption(markdown_safe(f"{card.base}, trained on {card.trained:,} labels of {card.extraction_name}, "
                             f"{card.held_out:,} held out, seed {card.settings.get('seed', 0)}, "
                             f"{card.created_at:%d %b %Y %H:%M} UTC.{left_out}"))


def show_labels(card: Card) -> None:
    """The labels of the held-out features, side by side."""
    with st.popover("Held-out labels", icon=":material/list:"):
        st.dataframe([{"Feature": label.index} | {title: said and readable(said) for title, said in (
            ("Label", label.reference), ("Before", label.before), ("After", label.after))}
                      for label in card.labels[:SHOWN_LABELS]], hide_index=True, width=760)


def _number(value: float | int | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def _actions(found: Adapter, api_key: str | None) -> None:
    told = found.progress
    with st.container(horizontal=True, vertical_alignment="center"):
        if found.state == "training" and _here(found.name):
            st.caption("Its progress is shown above.")
            return
        if found.state == "training":
            st.progress(min(max(told.get("fraction", 0.0), 0.0), 1.0),
                        text=markdown_safe(f"{told.get('step', 'Starting')}: {told.get('detail', '')}"))
            if st.button("Cancel", icon=":material/stop:", key=f"cancel-{found.name}"):
                adapters.request_cancel(found.name)
            return
        if found.state == "stopped":
            st.markdown(markdown_safe(told.get("error") or "Stopped before its end."))
            if st.button("Resume", icon=":material/play_arrow:", key=f"resume-{found.name}"):
                _start(found.name, api_key)
        if found.card is not None:
            show_labels(found.card)
        if st.button("Remove", icon=":material/delete:", key=f"remove-{found.name}"):
            _remove(found.name)


def _remove(name: str) -> None:
    try:
        adapters.remove_adapter(name)
    except MistudioError as error:
        show_error(error)
        return
    st.rerun(scope="app")
