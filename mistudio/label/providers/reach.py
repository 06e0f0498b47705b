"""Which server calls go to, and whose key goes with them: the owner's servers and key are for those who may write."""

from mistudio.access import visitor
from mistudio.errors import ProviderSetupError
from mistudio.label.providers.addresses import check_public_url
from mistudio.settings import settings

OPENAI = "https://api.openai.com/v1"
# Nothing shorter is a key; a text that holds one by chance must not be garbled.
SHORTEST_KEY = 8
HIDDEN = "[API key]"


def address_of(provider: str, base_url: str | None = None) -> str:
    """Where the calls of a provider go; "" for those that need no server."""
    own = visitor().may_write
    usual = {"ollama": settings().ollama_host, "openai": (settings().openai_base_url if own else None) or OPENAI}
    return (base_url or usual[provider]) if provider in usual else ""


def key_for(address: str, typed: str | None) -> str | None:
    """The key to send to a server: one that was typed, or else the owner's, which goes to no other than its own."""
    known = settings()
    if typed or not visitor().may_write or known.openai_api_key is None:
        return typed or None
    # The owner's key must not travel to an address that somebody typed.
    usual = address == address_of("openai")
    return known.openai_api_key.get_secret_value() or None if usual else None


def check_reach(provider: str, address: str) -> bool:
    """Whether a server is trusted not to lead elsewhere. Those who may not write can also call others that speak
    OpenAI's protocol, on the public internet, through ``addresses.public_client``.

    Raises:
        ProviderSetupError: calls may not go there at all.
    """
    listed = {server.strip().rstrip("/") for server in settings().visitor_servers.split(",")}
    if visitor().may_write or (provider == "openai" and address.rstrip("/") in {OPENAI, *listed}):
        return True
    if provider != "openai":
        raise ProviderSetupError("You cannot use this server here.", "Use OpenAI, or a compatible server on the public "
                                 "internet, with a key of your own.", kind="setup")
    check_public_url(address)
    return False


def without_key(text: str, key: str | None) -> str:
    """A server's words without the key that was sent to it; some repeat it."""
    return text.replace(key, HIDDEN) if key and len(key) >= SHORTEST_KEY else text
