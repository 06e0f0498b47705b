"""Who labels: provider, address, model and key, as widgets shared by Label and Review."""

from dataclasses import dataclass

import streamlit as st

from mistudio.errors import MistudioError
from mistudio.label.adapters import PREFIX, labeler, list_adapters
from mistudio.label.providers.connection import Connection, try_connection
from mistudio.label.providers.reach import OPENAI, address_of, key_for
from mistudio.run.config import RunConfig
from mistudio.ui.failing import show_error
from mistudio.ui.tokens import markdown_safe, readable
from mistudio.ui.turns import aside
from mistudio.ui.visiting import may_write
from mistudio.ui.wording import duration

NAMES = {"embedded": "Embedded", "none": "Nobody", "ollama": "Ollama", "openai": "OpenAI or compatible"}
# A judge is chosen apart from the labeler: its widgets have other keys.
ROLES = {"labeler": ("Who labels", ("embedded", "ollama", "openai"), ""),
         "judge": ("Who judges", ("none", "ollama", "openai"), "judge_")}
CAPTIONS = {"embedded": "A small model inside this app. No server, no key.",
            "none": "Only the embedding score, which asks no model.",
            "ollama": "Models on your own machine, served by Ollama.",
            "openai": "OpenAI, or any server with its protocol: vLLM, llama.cpp, LM Studio, OpenRouter."}
# Good and cheap: taken at OpenAI, and where a server lists it, unless another one is chosen.
USUAL_MODELS = {"openai": "gpt-5-mini", "ollama": "llama3.2"}
SHOWN_MODELS = 6


@dataclass(frozen=True)
class Choice:
    """What was chosen. ``api_key`` is used for the call and stored nowhere but in the browser session."""

    provider: str
    model: str
    base_url: str | None
    api_key: str | None

    def options(self) -> dict:
        """The part that belongs into a ``LabelConfig``."""
        return {"provider": self.provider, "model": self.model, "base_url": self.base_url}

    @property
    def missing(self) -> str:
        """What is to be done before anyone can be asked; "" when nothing is."""
        if self.provider in ("embedded", "none"):
            return ""
        if self.provider == "openai" and not self.api_key and address_of("openai", self.base_url) == OPENAI:
            return "Type an API key to start."
        return "" if self.model else "Choose a model to start; Test connection lists them."

    @property
    def ready(self) -> bool:
        """Whether somebody can be asked."""
        return not self.missing


def choose_provider(*, horizontal: bool = True, role: str = "labeler", titled: bool = True) -> Choice:
    """The widgets. What is chosen stays for the browser session, on every page.

    Args:
        role: ``labeler`` or ``judge``.
        titled: whether to say what is chosen; not below a heading that does.
    """
    title, offered, prefix = ROLES[role]
    if not may_write():
        offered = [name for name in offered if name != "ollama"]
    provider = st.radio(title, offered, key=f"{prefix}provider", format_func=NAMES.get, horizontal=horizontal,
                        captions=[CAPTIONS[name] for name in offered], persist_state="session",
                        label_visibility="visible" if titled else "collapsed")
    if provider == "none":
        return Choice(provider, "", None, None)
    if provider == "embedded":
        choice = Choice(provider, _adapter(prefix), None, None)
        # It takes as long as a trial, of which those who may not write get one at a time.
        if may_write() and _test_button(choice, st.container(), prefix):
            _connect(choice)
        _say_how_it_went(choice)
        return choice
    base_url = st.text_input("Server address", key=f"{prefix}base_url_{provider}", placeholder=address_of(provider),
                             persist_state="session", max_chars=2000,
                             help="Leave empty for the usual one.").strip() or None
    api_key = _key(base_url, prefix) if provider == "openai" else None
    choice = Choice(provider, _model(Choice(provider, "", base_url, api_key), prefix), base_url, api_key)
    _say_how_it_went(choice)
    return choice


def fill_provider(config: RunConfig, role: str) -> None:
    """Set the widgets to what a config says; the key, which none holds, stays as it is."""
    prefix, provider = ROLES[role][2], config.provider
    st.session_state[f"{prefix}provider"] = provider
    if provider == "embedded":
        ready = [found.name for found in list_adapters() if found.card is not None]
        st.session_state[f"{prefix}adapter"] = config.model if config.model in ready else ""
    elif provider != "none":
        st.session_state[f"{prefix}base_url_{provider}"] = config.base_url or ""
        st.session_state[f"{prefix}model_{provider}"] = config.model
        st.session_state[f"{prefix}model_list_{provider}"] = config.model or None


def in_words(choice: Choice) -> str:
    """The choice as a short phrase."""
    if choice.provider == "embedded" and choice.model:
        return markdown_safe(labeler(choice.provider, choice.model))
    return NAMES[choice.provider] + (f" · {markdown_safe(choice.model)}" if choice.model else "")


def _adapter(prefix: str) -> str:
    """The name of one of the user's own adapters, or "" for the shipped one; nothing to choose while there is none."""
    ready = {found.name: found.card for found in list_adapters() if found.card is not None}
    if not ready:
        return ""
    said = {name: "better" if card.verdict.better else "not better" for name, card in ready.items()}
    picked = st.selectbox(
        "Model", ["", *ready], key=f"{prefix}adapter", persist_state="session",
        format_func=lambda name: f"{PREFIX}{name} ({said[name]})" if name else "The shipped one",
        help="Adapters come from Distill; in brackets, what their held-out labels say against what there was before.")
    return picked or ""


def _key(base_url: str | None, prefix: str) -> str | None:
    address = address_of("openai", base_url)
    found = key_for(address, None)
    typed = st.text_input(
        "API key", type="password", key=f"{prefix}api_key", persist_state="session", max_chars=2000,
        placeholder="Taken from the environment or secrets" if found else "sk-… (a local server may need none)",
        help="Kept for this browser session only, never stored.").strip()
    return key_for(address, typed)


def _model(choice: Choice, prefix: str) -> str:
    """The model's name: picked from those that the server lists, or typed; both where it has been asked for them."""
    provider = choice.provider
    typed_key, picked_key = f"{prefix}model_{provider}", f"{prefix}model_list_{provider}"
    field, beside = st.columns([3, 1.4], vertical_alignment="bottom")
    if _test_button(choice, beside, prefix):
        found = _connect(choice)
        if found is not None and not st.session_state.get(picked_key):
            st.session_state[picked_key] = _first_choice(provider, found.models, st.session_state.get(typed_key, ""))
    found = _tests().get(_place(choice))
    if isinstance(found, Connection) and found.models:
        chosen = st.session_state.get(picked_key)
        return field.selectbox(
            "Model", dict.fromkeys([*found.models, *filter(None, [chosen])]), key=picked_key, index=None,
            format_func=readable, persist_state="session", accept_new_options=True,
            placeholder="Choose a model, or type its name") or ""
    usual = USUAL_MODELS[provider] if address_of(provider, choice.base_url) == OPENAI else ""
    return field.text_input(
        "Model", key=typed_key, persist_state="session", max_chars=200,
        placeholder=usual or f"for example {USUAL_MODELS[provider]}",
        help="Test the connection to choose from the models that the server has.").strip() or usual


def _first_choice(provider: str, models: tuple[str, ...], typed: str) -> str | None:
    """The model to start from among those that a server lists: what was typed, the usual one, or the only one."""
    usual = USUAL_MODELS[provider]
    fitting = [model for wanted in filter(None, (typed, usual)) for model in models
               if model in (wanted, f"{wanted}:latest")]
    return typed or next(iter(fitting or models if len(models) == 1 else fitting), None)


def _test_button(choice: Choice, place, prefix: str) -> bool:
    name = "Test connection" if choice.provider != "embedded" else "Test it"
    return place.button(name, icon=":material/lan:", key=f"{prefix}test-{choice.provider}",
                        width="content" if choice.provider == "embedded" else "stretch")


def _tests() -> dict[tuple, Connection | MistudioError]:
    """What came of the tests of this session, by what was tested."""
    return st.session_state.setdefault("connections", {})


def _place(choice: Choice) -> tuple:
    return choice.provider, choice.base_url, choice.api_key, choice.model if choice.provider == "embedded" else ""


def _connect(choice: Choice) -> Connection | None:
    """Test it and remember what came of it."""
    try:
        with aside("Asking the server for its models" if choice.provider != "embedded" else
                   "Loading the model and asking it for a label"):
            found = try_connection(choice.provider, choice.base_url, choice.api_key, choice.model)
    except MistudioError as error:
        _tests()[_place(choice)] = error
        return None
    _tests()[_place(choice)] = found
    return found


def _say_how_it_went(choice: Choice) -> None:
    """The result of the last test of what is chosen now, where there was one."""
    found = _tests().get(_place(choice))
    if isinstance(found, MistudioError):
        show_error(found)
    elif found is not None and choice.provider == "embedded":
        st.success(f"It works. Loading it and one label took {duration(found.seconds)} here.", icon=":material/check:")
    elif found is not None and not found.models:
        st.warning("Connected, but the server has no model yet. " + (
            f"Run: ollama pull {USUAL_MODELS['ollama']}" if choice.provider == "ollama" else "Load one there first."))
    elif found is not None:
        count, more = len(found.models), len(found.models) - SHOWN_MODELS
        listed = ", ".join(found.models[:SHOWN_MODELS]) + (f" and {more:,} more" if more > 0 else "")
        st.success(f"Connected. The server offers {count:,} model{'s' if count != 1 else ''}: {markdown_safe(listed)}. "
                   f"{markdown_safe(found.address)} answered in {duration(found.seconds)}.", icon=":material/check:")
        if choice.model and not {choice.model, f"{choice.model}:latest"} & set(found.models):
            st.warning(f"The server does not list {markdown_safe(choice.model)}. Choose one that it has"
                       + (f", or run: ollama pull {markdown_safe(choice.model)}" if choice.provider == "ollama" else "")
                       + ".", icon=":material/help:")
