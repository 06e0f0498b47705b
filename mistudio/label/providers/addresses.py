"""Addresses that visitors of a public page type: only servers on the public internet may be called.

A name is looked up once for each connection, every address it stands for is checked, and the connection goes to an
address that was checked, so that a name cannot lead elsewhere between the check and the call (DNS rebinding).
"""

import re
import socket
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

import httpx2
from openai import DefaultHttpxClient

from mistudio.errors import ProviderSetupError

Address = IPv4Address | IPv6Address
Resolve = Callable[[str, int], list[str]]
# Each holds an IPv4 address, which may be a private one: mapped, compatible, translated, 6to4, Teredo.
EMBEDDING = tuple(map(IPv6Network, ("::ffff:0:0/96", "::/96", "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16",
                                    "2001::/32")))
# An answer of a label is a few kB; a list of models at most some hundred.
MOST_BYTES = 16 << 20
_HINT = "Give the address of a server on the public internet, for example https://openrouter.ai/api/v1."


def check_public_url(url: str) -> None:
    """Whether calls may go to a server.

    Raises:
        ProviderSetupError: it is no http(s) address, holds a user name or password, is not known, or stands for any
            address that is not public: private, loopback, link-local, multicast, reserved, or hidden in another.
    """
    try:
        parsed = httpx2.URL(url)
    except (httpx2.InvalidURL, TypeError, ValueError) as error:
        raise ProviderSetupError(f"{url[:200]!r} is not the address of a server.", _HINT, kind="setup") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ProviderSetupError(f"{url[:200]!r} is not an http or https address.", _HINT, kind="setup")
    if parsed.userinfo:
        raise ProviderSetupError("A server's address must not hold a user name or password.",
                                 "Leave out what stands before the @; a key has a field of its own.", kind="setup")
    public_addresses(parsed.raw_host.decode("ascii"), parsed.port or 443)


def is_public(address: Address) -> bool:
    """Whether an address belongs to the public internet."""
    hidden = address.version == 6 and (address.is_site_local or any(address in network for network in EMBEDDING))
    return address.is_global and not (hidden or address.is_multicast or address.is_reserved)


def public_addresses(host: str, port: int, allowed: Callable[[Address], bool] = is_public,
                     resolve: Resolve | None = None) -> list[str]:
    """The addresses that a host stands for, all of them public.

    Args:
        allowed: which addresses may be called.
        resolve: looks a name up; the system's resolver, if None.

    Raises:
        ProviderSetupError: it is not known, one of them is not public, or it is a number in another form than the
            usual one, which programs read differently.
    """
    if re.fullmatch(r"(0x[0-9a-f]*|[0-9]+)(\.(0x[0-9a-f]*|[0-9]+))*\.?", host, re.IGNORECASE) and not _is_usual(host):
        raise ProviderSetupError(f"{host!r} is not written as an address usually is.", _HINT, kind="setup")
    try:
        found = (resolve or _look_up)(host, port)
    except (OSError, UnicodeError) as error:
        raise ProviderSetupError(f"The server {host[:200]!r} is not known.", "Check the address.",
                                 kind="setup") from error
    if not found or not all(allowed(ip_address(each.partition("%")[0])) for each in found):
        raise ProviderSetupError(f"The server {host[:200]!r} is not on the public internet, so it is not called from "
                                 "this page.", _HINT, kind="setup")
    return found


def _is_usual(host: str) -> bool:
    try:
        return str(ip_address(host)) == host
    except ValueError:
        return False


def _look_up(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(place[0]) for _family, _type, _protocol, _name, place in found))


class PublicTransport(httpx2.HTTPTransport):
    """What the openai client sends through; it uses no proxy."""

    def __init__(self, allowed: Callable[[Address], bool] = is_public, resolve: Resolve | None = None, **options):
        super().__init__(**options)
        self._allowed, self._resolve = allowed, resolve

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Raises: ProviderSetupError, as ``check_public_url`` does."""
        url, host = request.url, request.url.raw_host.decode("ascii")
        address = public_addresses(host, url.port or 443, self._allowed, self._resolve)[0]
        headers = request.headers.copy()
        # Unpacked, a few bytes could fill the memory.
        headers["Accept-Encoding"] = "identity"
        pinned = httpx2.Request(request.method, url.copy_with(host=address), headers=headers, stream=request.stream,
                                extensions={**request.extensions, "sni_hostname": host})
        response = super().handle_request(pinned)
        packed = response.headers.get("Content-Encoding", "identity")
        if packed != "identity":
            response.close()
            raise ProviderSetupError(f"The server {host!r} sends a packed answer ({packed[:20]}) that was not asked "
                                     "for.", "Use another server.", kind="setup")
        response.stream = _Bounded(response.stream, host)
        return response


class _Bounded(httpx2.SyncByteStream):
    """The bytes of an answer, as long as they are not too many."""

    def __init__(self, stream, host: str):
        self._stream, self._host = stream, host

    def __iter__(self) -> Iterator[bytes]:
        read = 0
        for chunk in self._stream:
            read += len(chunk)
            if read > MOST_BYTES:
                raise ProviderSetupError(f"The answer of {self._host!r} is longer than {MOST_BYTES >> 20} MiB.",
                                         "Use another server.", kind="setup")
            yield chunk

    def close(self) -> None:
        self._stream.close()


def public_client(**options) -> DefaultHttpxClient:
    """An http client for ``OpenAI(http_client=...)`` that reaches public addresses only, and follows no redirect.

    Args:
        options: of ``httpx2.Client``, for example ``event_hooks``.
    """
    return DefaultHttpxClient(transport=PublicTransport(), follow_redirects=False, **options)
