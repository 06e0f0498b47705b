"""Answers that came as files: one line read, and the provider that gives them as if it were asked now."""

import json
from dataclasses import asdict, dataclass
from typing import NamedTuple

from mistudio.batch.address import Address
from mistudio.errors import NotAsked, ProviderError
from mistudio.label.prompts.templates import hash_of
from mistudio.label.providers import Completion, Messages
from mistudio.label.providers.openai import OpenAIProvider, read_completion
from mistudio.run.config import RunConfig
from mistudio.store.storable import storable

_KINDS = {408: "timeout", 429: "rate limit"}


@dataclass(frozen=True)
class Reply:
    """What came back for one request: a completion, or the ``error`` and its ``kind``, as in a live run.

    ``hash`` is that of the prompt that was sent.
    """

    hash: str
    text: str = ""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    finish: str = "stop"
    error: str = ""
    kind: str = ""

    def completion(self) -> Completion:
        """Raises: ProviderError, where there is none."""
        if self.error:
            raise ProviderError(self.error, kind=self.kind)
        return Completion(self.text, self.prompt_tokens, self.completion_tokens, finish=self.finish)


class Line(NamedTuple):
    """A line that was read: its ``custom_id``, None where it is not one of ours, and what it brings."""

    address: Address | None
    reply: Reply | None


class Recorded:
    """A provider whose answers are those that came; the next ``complete`` calls find them by their prompt."""

    name = OpenAIProvider.name
    default_concurrency = 1
    rate_limits = 0

    def __init__(self, config: RunConfig):
        self.model = config.model
        self.replies: dict[str, Reply] = {}

    def complete(self, messages: Messages, schema: dict) -> Completion:
        reply = self.replies.get(hash_of(messages))
        if reply is None:
            raise NotAsked("The prompt that was sent is not the one this version would send.",
                           "Write the requests again with --retry-failed RUN --batch-out FILE.", kind="other prompt")
        return reply.completion()


def read_line(raw: bytes) -> Line | None:
    """One line of a response file, of OpenAI's or of vLLM's; None when it is not one."""
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or not isinstance(value.get("custom_id"), str):
        return None
    address = Address.read(value["custom_id"])
    if address is None:
        return Line(None, None)
    response, error = value.get("response"), value.get("error")
    if not isinstance(response, dict):
        return Line(address, _failed(address, 0, error)) if error else None
    status, body = response.get("status_code", 200), response.get("body")
    if error or status != 200:
        return Line(address, _failed(address, status, error or body))
    try:
        found = read_completion(body, 0.0)
    except ProviderError as failure:
        return Line(address, Reply(address.hash, error=str(failure), kind=failure.kind))
    return Line(address, Reply(address.hash, storable(found.text), found.prompt_tokens, found.completion_tokens,
                               found.finish))


def pack(replies: dict[str, Reply]) -> str:
    """Replies by part, as they are kept on an item while others are missing."""
    return json.dumps({part: asdict(reply) for part, reply in replies.items()})


def unpack(kept: str) -> dict[str, Reply]:
    """The opposite of ``pack``; nothing where nothing was kept."""
    return {part: Reply(**reply) for part, reply in json.loads(kept or "{}").items()}


def _failed(address: Address, status: object, error: object) -> Reply:
    """The server's reason, wherever it stands."""
    code = error.get("code") if isinstance(error, dict) else None
    inner = error.get("error") if isinstance(error, dict) else None
    for place in (inner, error):
        said = place.get("message") if isinstance(place, dict) else place
        if isinstance(said, str) and said:
            break
    else:
        said = "It gave no reason."
    kind = "expired" if code == "batch_expired" else _kind(status)
    return Reply(address.hash, error=f"The server answered with an error: {storable(said)[:300]}", kind=kind)


def _kind(status: object) -> str:
    known = status if type(status) is int else 0
    return _KINDS.get(known, "server" if known >= 500 else "request")
