"""What a job takes, the most it may cost, and the button that starts it."""

from collections.abc import Callable
from functools import partial

import streamlit as st

from mistudio.jobs.background import launch
from mistudio.jobs.estimate import Estimate
from mistudio.jobs.work import provider_of
from mistudio.label.cost import price
from mistudio.run.config import RunConfig
from mistudio.store.filtering import FeatureFilter
from mistudio.ui.acting import show_run
from mistudio.ui.failing import guard
from mistudio.ui.options import choose_options
from mistudio.ui.page import Here
from mistudio.ui.provider import Choice
from mistudio.ui.tokens import markdown_safe
from mistudio.ui.wording import HERE, dollars, duration, pays, span


def limits_apart(choice: Choice) -> tuple[str, ...]:
    """The options that do not stand among the others: where somebody is paid they are asked for beside the price, and
    where nobody is, no dollars are spent."""
    return ("budget_dollars", "budget_tokens") if pays(choice.options()) else ("budget_dollars",)


def before_start(here: Here, config: RunConfig, wanted: FeatureFilter | None, choice: Choice, *, verb: str, busy: bool,
                 estimating: partial[Estimate], starting: Callable[..., int]) -> None:
    """The estimate of a job, its budget, and its button.

    Args:
        verb: ``Label`` or ``Score``.
        estimating, starting: make the estimate, and queue the run and return its id, from engine, extraction id, config
            and filter.
    """
    with st.container(border=True), guard():
        st.subheader("3 · Start")
        if wanted is None:
            st.caption("Choose features to see what the run takes.")
            return
        found = _estimated(here.id, verb, config.model_dump_json(), wanted.as_dict(), str(here.engine.url),
                           estimating.keywords, estimating, here, config, wanted)
        if not found.features + found.skipped:
            st.info(f"No feature matches, so there is nothing to {verb.lower()}.", icon=":material/info:")
            return
        show_estimate(found, verb)
        if pays(config):
            config = type(config).checked(**config.model_dump() | _budget(config, found))
        missing = "A run is going on. Start another when it has ended." if busy else choice.missing
        if st.button(f"{verb} {found.features:,} feature{'s' if found.features != 1 else ''}", type="primary",
                     icon=":material/play_arrow:", disabled=bool(missing) or not found.features, width="stretch"):
            provider_of(config, choice.api_key)
            run_id = starting(here.engine, here.id, config, wanted)
            launch(here.engine, run_id, choice.api_key)
            show_run(run_id)
            st.rerun()
        if missing:
            st.caption(missing)


@st.cache_data(ttl=15, max_entries=32, show_spinner=False)
def _estimated(extraction_id: int, verb: str, options: str, which: dict, url: str, more: dict,
               _estimating: Callable[..., Estimate], _here: Here, _config: RunConfig,
               _wanted: FeatureFilter) -> Estimate:
    """Kept for a short while: each widget on the page would ask for it again."""
    return _estimating(_here.engine, extraction_id, _config, _wanted)


def show_estimate(found: Estimate, verb: str) -> None:
    """Features, cost and time; smaller, what these rest on."""
    st.markdown(markdown_safe(f"{found.features:,} features to {verb.lower()}").join(("**", "**")))
    if found.skipped:
        why = "dead, rare, or labeled by a person" if verb == "Label" else "without a label, or scored before"
        st.caption(f"{found.skipped:,} more match and will be skipped: {why}.")
    if found.free:
        cost = HERE
    elif found.cost is None:
        cost = "unknown price"
    else:
        cost = span(*map(dollars, found.cost))
    time = span(*map(duration, found.seconds)) if found.seconds else "unknown until it has answered once"
    st.markdown(f"Cost: **{markdown_safe(cost)}**  \nTime: **{markdown_safe(time)}**")
    if found.prompt_tokens[1]:
        calls, asked, answered = (span(*(f"{end:,}" for end in ends)) for ends in (
            found.calls, found.prompt_tokens, found.completion_tokens))
        st.caption(f"{calls} calls · {asked} prompt tokens · {answered} answer tokens")


def _budget(config: RunConfig, found: Estimate) -> dict:
    """What the run may use: in dollars where the price is known, else in tokens."""
    name = "budget_tokens" if price(config, 1_000, 1_000) is None else "budget_dollars"
    given = choose_options(type(config), only=(name,), columns=1)
    limit, needed = given[name], found.cost if name == "budget_dollars" else tuple(
        map(sum, zip(found.prompt_tokens, found.completion_tokens, strict=True)))
    if limit and needed and needed[1] > limit:
        least, most = (min(found.features, int(found.features * limit / end)) for end in reversed(needed))
        st.caption(f"Enough for about {span(f'{least:,}', f'{most:,}')} of {found.features:,} features. Then the run "
                   "pauses, and goes on when you raise it.")
    return given
