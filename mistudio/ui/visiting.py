"""Who visits the dashboard, by the one setting of access; those who may see nothing come no further than here."""

from collections.abc import Mapping
from functools import cache
from ipaddress import ip_address
from urllib.parse import urlsplit

import streamlit as st
from streamlit.errors import StreamlitAuthError
from streamlit.runtime.scriptrunner import get_script_run_ctx

from mistudio import access
from mistudio.access import NOBODY, Visitor
from mistudio.errors import AccessError
from mistudio.settings import settings
from mistudio.ui.tokens import html_safe, markdown_safe

# What proxies add.
FORWARDED = ("X-Forwarded-For", "X-Forwarded-Host", "Forwarded")
# What Streamlit's secrets hold at the top level is in the environment from here on, where the settings look.
st.secrets.load_if_toml_exists()


def _visitor() -> Visitor:
    """The visitor of this browser session; nobody, in a thread that works for no session and was told of no visitor."""
    mode, inside = settings().access, get_script_run_ctx(suppress_warning=True) is not None
    if mode == "local":
        return access.owner() if not inside or _only_here() else NOBODY
    if not inside:
        return NOBODY
    if mode == "public":
        return Visitor("", may_read=True)
    # Providers that let people claim an address without proof say so.
    if not _logged_in() or st.user.get("email_verified") in (False, "false"):
        return NOBODY
    return access.known(str(st.user.get("email") or ""))


access.ask(_visitor)


def may_write() -> bool:
    """Whether the visitor may change anything; what only they can use is not shown to others."""
    return access.visitor().may_write


def names_shown() -> bool:
    """Whether several people work here, who know each other by name."""
    return settings().access == "login"


def enter() -> None:
    """Let the visitor in, or say why not and stop the page.

    Raises:
        AccessError: the server lets everybody do everything, and can be reached from other machines.
    """
    if access.visitor().may_read:
        return
    st.title("mistudio")
    if settings().access != "login":
        raise AccessError(
            "This server can be reached from other machines, but does not say who may do what.",
            "Start it with MISTUDIO_ACCESS=public or MISTUDIO_ACCESS=login (README, Access and secrets). On its own "
            "machine, start it with --server.address 127.0.0.1 and open http://localhost:8501.")
    if _logged_in():
        st.warning(f"You are logged in as {markdown_safe(_name())}, who has no access here. Ask the owner of this "
                   "server to let you in.", icon=":material/lock:")
        st.button("Log out", icon=":material/logout:", on_click=st.logout)
    else:
        _offer_login()
    st.stop()


def show_visitor() -> None:
    """In the sidebar: who is here and what that means; nothing on one's own machine."""
    mode = settings().access
    if mode == "public":
        st.caption("A public server: look around, and try a feature with a key of your own. Nothing you do is stored.")
    elif mode == "login":
        rights = "" if may_write() else ". You can look around, and try a feature with a key of your own."
        st.html(f'<div class="ms-small">Logged in as {html_safe(_name())}{rights}</div>')
        st.button("Log out", icon=":material/logout:", type="tertiary", on_click=st.logout)


def _only_here() -> bool:
    """Whether the server listens to this machine alone, and the visitor's browser runs on it: a proxy, a tunnel or a
    page elsewhere whose name stands for this machine show in what the request names."""
    asked = st.context.headers.to_dict() if get_script_run_ctx(suppress_warning=True) else {}
    named = [asked[name].rpartition("://")[2] for name in ("Host", "Origin") if name in asked]
    return (all(_is_loopback(urlsplit(f"//{name}").hostname) for name in named)
            and _listens_here() and not any(name in asked for name in FORWARDED))


@cache
def _listens_here() -> bool:
    # Asked for each connection to the database, while Streamlit has one lock for all its options.
    return _is_loopback(st.get_option("server.address"))


def _is_loopback(host: str | None) -> bool:
    try:
        return host == "localhost" or ip_address(host or "").is_loopback
    except ValueError:
        return False


def _logged_in() -> bool:
    return bool(st.user.get("is_logged_in"))


def _name() -> str:
    return str(st.user.get("email") or st.user.get("name") or "somebody without an e-mail address")


def _offer_login() -> None:
    """One button for each provider in the secrets."""
    st.markdown("Log in to see the features on this server. Only people whom its owner has let in can.")
    found = st.secrets.get("auth", {}) if st.secrets.load_if_toml_exists() else {}
    named = [name for name, value in found.items() if isinstance(value, Mapping) and "client_id" in value]
    providers = [*(["default"] if "client_id" in found else []), *named]
    for provider in providers:
        name = "Log in" if provider == "default" else f"Log in with {provider.capitalize()}"
        if st.button(name, type="primary", icon=":material/login:", key=f"login-{provider}"):
            try:
                st.login(None if provider == "default" else provider)
            except StreamlitAuthError as error:
                raise AccessError("Login is not set up rightly on this server.", str(error)) from error
    if urlsplit(st.context.url or "").path.strip("/") or st.query_params:
        st.caption("After the login, open your link once more: it leads to the first page.")
    if not providers:
        raise AccessError("Login is not set up on this server.",
                          "Its owner has to name a provider in Streamlit's secrets (README, Access and secrets).")
