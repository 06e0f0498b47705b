"""Ollama, through its own client."""

import math
import threading
import time

import httpx
import ollama

from mistudio.errors import ProviderError, ProviderSetupError
from mistudio.label.providers import CONCURRENCY, Completion, Messages
from mistudio.label.providers.reach import address_of, check_reach
from mistudio.run.config import RunConfig

MOST_TOKENS = 1024
# Code and rare words run to about two characters a token; a prompt that does not fit is cut without a word.
CHARACTERS_PER_TOKEN = 2
CONTEXT_STEP = 4096


class OllamaProvider:
    """Chat with a JSON schema as the format."""

    name = "ollama"
    default_concurrency = CONCURRENCY["ollama"]

    def __init__(self, config: RunConfig):
        self.model = config.model
        self.address = address_of("ollama", config.base_url)
        self.temperature = config.temperature
        self.client = _client(self.address, config.timeout)
        self.rate_limits = 0
        self._context = CONTEXT_STEP
        self._lock = threading.Lock()

    def complete(self, messages: Messages, schema: dict) -> Completion:
        options: dict = {"num_ctx": self._context_for(messages), "num_predict": MOST_TOKENS}
        if self.temperature is not None:
            options["temperature"] = self.temperature
        started = time.monotonic()
        try:
            reply = self.client.chat(model=self.model, messages=messages, format=schema, options=options,
                                     keep_alive="10m")
        except (ConnectionError, httpx.HTTPError, ollama.ResponseError, ValueError) as error:
            explained = _explained(error, self.address, self.model)
            self.rate_limits += explained.kind == "rate limit"
            raise explained from error
        return Completion(text=reply.message.content or "", prompt_tokens=reply.prompt_eval_count,
                          completion_tokens=reply.eval_count, seconds=time.monotonic() - started,
                          finish="length" if reply.done_reason == "length" else "stop")

    def close(self) -> None:
        self.client.close()

    def _context_for(self, messages: Messages) -> int:
        """Tokens of context to ask for. It never shrinks: another size makes Ollama load the model again."""
        characters = sum(len(message["content"]) for message in messages)
        wanted = characters / CHARACTERS_PER_TOKEN + 32 * len(messages) + MOST_TOKENS
        with self._lock:
            self._context = max(self._context, CONTEXT_STEP * math.ceil(wanted / CONTEXT_STEP))
            return self._context


def list_ollama_models(base_url: str | None = None) -> list[str]:
    """Names of the models that are pulled. Raises: ProviderSetupError."""
    address = address_of("ollama", base_url)
    try:
        return sorted(model.model for model in _client(address, 10).list().models if model.model)
    except (ConnectionError, httpx.HTTPError, ollama.ResponseError, ValueError) as error:
        found = _explained(error, address, "")
        raise ProviderSetupError(found.message, found.hint, kind="setup") from error


def _client(address: str, timeout: float) -> ollama.Client:
    check_reach("ollama", address)
    try:
        return ollama.Client(address, timeout=timeout)
    except (ValueError, httpx.InvalidURL) as error:
        raise ProviderSetupError(f"{address!r} is not the address of a server.",
                                 "Write it in full, for example http://127.0.0.1:11434.", kind="setup") from error


def _explained(error: Exception, address: str, model: str) -> ProviderError:
    if isinstance(error, ollama.ResponseError):
        if error.status_code == 404 and model:
            return ProviderSetupError(f"Ollama at {address} has no model {model!r}.", f"Run: ollama pull {model}",
                                      kind="setup")
        # How Ollama says that its queue is full.
        if error.status_code in (429, 503):
            return ProviderError(f"Ollama at {address} has too many calls waiting: {error.error[:300]}",
                                 "Lower the concurrency, then retry the failed features.", kind="rate limit")
        return ProviderError(f"Ollama answered with an error: {error.error[:300]}",
                             "Look at the log of ollama serve, then retry the failed features.", kind="server")
    if isinstance(error, httpx.ReadTimeout | httpx.WriteTimeout | httpx.PoolTimeout):
        return ProviderError(f"Ollama at {address} gave no answer in time.",
                             "Raise the timeout; the first answer waits for the model to load.", kind="timeout")
    if isinstance(error, httpx.RemoteProtocolError | httpx.ReadError | ValueError):
        return ProviderError(f"Ollama at {address} broke off, or something else answers there.",
                             "Check the address, then retry the failed features.", kind="broken off")
    return ProviderSetupError(f"Ollama is not running at {address}.", "Start it with: ollama serve", kind="setup")
