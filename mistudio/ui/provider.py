"""Who labels: provider, address, model and key, as widgets shared by Label and Review."""

from dataclasses import dataclass

import streamlit as st
from streamlit.errors import StreamlitSecretNotFoundError

from mistudio.errors import MistudioError
from mistudio.label.adapters import PREFIX, labeler, list_adapters
from mistudio.label.providers import list_models
from mistudio.settings import settings
from mistudio.ui.page import show_error
from mistudio.ui.tokens import markdown_safe

NAMES = {"embedded": "Embedded", "none": "Nobody", "ollama": "Ollama", "openai": "OpenAI or compatible"}
# A judge is chosen apart from the labeler: its widgets have other keys.
ROLES = {"labeler": ("Who labels", ("embedded", "ollama", "openai"), ""),
         "judge": ("Who judges", ("none", "ollama", "openai"), "judge_")}
CAPTIONS = {"embedded": "A small model inside this app. No server, no key.",
            "none": "Only the embedding score, which asks no model.",
            "ollama": "Models on your own machine, served by Ollama.",
            "openai": "OpenAI, or any server with its protocol: vLLM, llama.cpp, LM Studio, OpenRouter."}


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
    def ready(self) -> bool:
        """Whether a model is chosen where one is needed."""
        return self.provider in ("embedded", "none") or bool(self.model)


def known_key() -> str | None:
    """The OpenAI key of the environment or of Streamlit's secrets, if there is one."""
    if settings().openai_api_key is not None:
        return settings().openai_api_key.get_secret_value() or None
    try:
        return st.secrets.get("OPENAI_API_KEY")
    except StreamlitSecretNotFoundError:
        return None


def choose_provider(*, horizontal: bool = True, role: str = "labeler") -> Choice:
    """The widgets. What is chosen stays for the browser session, on every page.

    Args:
        role: ``labeler`` or ``judge``.
    """
    title, offered, prefix = ROLES[role]
    provider = st.radio(title, offered, key=f"{prefix}provider", format_func=NAMES.get, horizontal=horizontal,
                        captions=[CAPTIONS[name] for name in offered], persist_state="session")
    if provider == "embedded":
        return Choice(provider, _adapter(prefix), None, None)
    if provider == "none":
        return Choice(provider, "", None, None)
    usual = settings().ollama_host if provider == "ollama" else settings().openai_base_url or "https://api.openai.com/v1"
    base_url = st.text_input("Server address", key=f"{prefix}base_url_{provider}", placeholder=usual,
                             persist_state="session", help="Leave empty for the usual one.").strip() or None
    api_key = _key(base_url, prefix) if provider == "openai" else None
    model = _model(provider, base_url, api_key, prefix)
    return Choice(provider, model, base_url, api_key)


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
    found = known_key()
    typed = st.text_input(
        "API key", type="password", key=f"{prefix}api_key", persist_state="session",
        placeholder="Taken from the environment or secrets" if found else "sk-… (a local server may need none)",
        help="Kept for this browser session only, never stored.").strip()
    # A key set up for one service must not be sent to whatever address a visitor types.
    return typed or (found if base_url in (None, settings().openai_base_url) else None)


def _model(provider: str, base_url: str | None, api_key: str | None, prefix: str) -> str:
    place = f"{provider} {base_url or ''}"
    lists = st.session_state.setdefault("model_lists", {})
    field, button = st.columns([3, 1.4], vertical_alignment="bottom")
    tested = button.button("Test connection", icon=":material/lan:", key=f"{prefix}test-{provider}", width="stretch")
    if tested:
        try:
            with st.spinner("Asking the server for its models"):
                lists[place] = list_models(provider, base_url, api_key)
        except MistudioError as error:
            lists.pop(place, None)
            show_error(error)
    if lists.get(place):
        model = field.selectbox("Model", lists[place], key=f"{prefix}model_list_{provider}", index=None,
                                persist_state="session", accept_new_options=True,
                                placeholder="Choose a model, or type its name")
    else:
        model = field.text_input("Model", key=f"{prefix}model_{provider}", persist_state="session",
                                 placeholder=f"for example {'llama3.2' if provider == 'ollama' else 'gpt-5-mini'}",
                                 help="Test the connection to choose from the models that the server has.")
    if tested and place in lists:
        count = len(lists[place])
        if count:
            st.success(f"Connected. The server offers {count} model{'s' if count != 1 else ''}.")
        else:
            st.warning("Connected, but the server has no model yet. " + (
                "Run: ollama pull llama3.2" if provider == "ollama" else "Load one there first."))
    return (model or "").strip()


def in_words(choice: Choice) -> str:
    """The choice as a short phrase."""
    if choice.provider == "embedded" and choice.model:
        return markdown_safe(labeler(choice.provider, choice.model))
    return NAMES[choice.provider] + (f" · {markdown_safe(choice.model)}" if choice.model else "")
