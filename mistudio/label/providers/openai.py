"""OpenAI, and every server that speaks its chat protocol: vLLM, llama.cpp, LM Studio, OpenRouter ..."""

import time
from collections.abc import Callable
from dataclasses import replace

import httpx2
import openai
from openai import DefaultHttpxClient, OpenAI
from pydantic import AnyHttpUrl, BaseModel, Field, TypeAdapter, ValidationError

from mistudio.access import visitor
from mistudio.errors import ProviderError, ProviderSetupError
from mistudio.label.providers import CONCURRENCY, Completion, Messages
from mistudio.label.providers.addresses import public_client
from mistudio.label.providers.reach import OPENAI, address_of, check_reach, key_for, without_key
from mistudio.run.config import RunConfig

# Room for a reasoning model to think before its short answer, and an end to a model that never stops.
MOST_TOKENS = 2048
# Of one call, by the client: with its growing pauses they last through a minute of errors.
RETRIES = 4
NO_COMPLETION = "The server answered with something that is no chat completion."
# All else that the environment adds to a call (OPENAI_ORG_ID, OPENAI_CUSTOM_HEADERS ...) is the owner's.
USUAL_HEADERS = ("accept", "accept-encoding", "authorization", "connection", "content-length", "content-type", "host",
                 "user-agent")
# What a server that refuses a JSON schema is offered next; prompt and parser do the rest.
FORMATS = ("json_schema", "json_object", "none")


class OpenAIProvider:
    """Chat completions. The client itself retries (it honours ``Retry-After``); nothing here does so again."""

    name = "openai"
    default_concurrency = CONCURRENCY["openai"]

    def __init__(self, config: RunConfig, api_key: str | None = None):
        """Raises: ProviderSetupError, when a key is missing."""
        self.config, self.model = config, config.model
        self.rate_limits = 0
        self.client = open_client(config.base_url, api_key, config.timeout, self._count)
        self._format = 0

    def _count(self, response: httpx2.Response) -> None:
        """The client retries on its own, so this is the one place that sees every answer."""
        self.rate_limits += response.status_code == 429

    def complete(self, messages: Messages, schema: dict) -> Completion:
        started = time.monotonic()
        first = self._format
        for place in range(first, len(FORMATS)):
            try:
                # What chat.completions.create does, without its walks through all messages and the answer's object:
                # a quarter of a label's time.
                response = self.client.post("/chat/completions", cast_to=httpx2.Response,
                                            body=request_body(self.config, messages, schema, FORMATS[place]))
            except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
                if place == len(FORMATS) - 1 or _is_unknown_model(error):
                    raise explained(error, self.model, self.client) from error
                continue
            except openai.OpenAIError as error:
                raise explained(error, self.model, self.client) from error
            except RuntimeError as error:
                if not self.client.is_closed():
                    raise
                raise ProviderError("The run has ended.", kind="stopped") from error
            # Only a format that brought an answer is remembered: a prompt may be bad for other reasons.
            self._format = max(self._format, place)
            found = read_completion(response.content, time.monotonic() - started)
            return replace(found, text=without_key(found.text, self.client.api_key))
        raise AssertionError("the last format returns or raises")

    def close(self) -> None:
        self.client.close()


def request_body(config: RunConfig, messages: Messages, schema: dict, answer_format: str = FORMATS[0]) -> dict:
    """The body of one chat completion."""
    body = {"model": config.model, "messages": messages, "max_completion_tokens": MOST_TOKENS}
    if config.temperature is not None:
        body["temperature"] = config.temperature
    if answer_format == "json_schema":
        body["response_format"] = {"type": "json_schema",
                                   "json_schema": {"name": "label", "schema": schema, "strict": True}}
    elif answer_format == "json_object":
        body["response_format"] = {"type": "json_object"}
    return body


def list_openai_models(base_url: str | None = None, api_key: str | None = None) -> list[str]:
    """Names of the models the server lists. Raises: ProviderSetupError."""
    # Somebody waits for the answer: why there is none is better said at once than after more tries.
    client = open_client(base_url, api_key, timeout=10, retries=0)
    try:
        return sorted(without_key(model.id, client.api_key) for model in client.models.list())
    except openai.NotFoundError as error:
        raise ProviderSetupError(f"{client.base_url} answers, but lists no models.",
                                 "Check the address: most end in /v1. If it is right, type the model's name.",
                                 kind="setup") from error
    except openai.OpenAIError as error:
        raise ProviderSetupError(*_words(error, "", client), kind="setup") from error


def open_client(base_url: str | None, api_key: str | None, timeout: float,
                on_response: Callable[[httpx2.Response], None] | None = None, retries: int = RETRIES) -> OpenAI:
    """A client for a server, with the key that may be sent there. Raises: ProviderSetupError."""
    address = address_of("openai", base_url)
    try:
        TypeAdapter(AnyHttpUrl).validate_python(address)
    except ValidationError as error:
        raise ProviderSetupError(f"{address!r} is not the address of a server.",
                                 "Write it in full, for example http://127.0.0.1:8000/v1.", kind="setup") from error
    trusted = check_reach("openai", address)
    key = key_for(address, api_key)
    if not key and address == OPENAI:
        raise ProviderSetupError("There is no OpenAI API key.",
                                 "Set OPENAI_API_KEY, or type a key on the Label page.", kind="key")
    own = visitor().may_write
    hooks = {"request": [] if own else [_only_usual], "response": [on_response] if on_response else []}
    # Servers of one's own need no key, but the client insists on one.
    return OpenAI(api_key=key or "none", base_url=address, timeout=timeout, max_retries=retries,
                  http_client=(DefaultHttpxClient(event_hooks=hooks, follow_redirects=own) if trusted
                               else public_client(event_hooks=hooks)))


def _only_usual(request: httpx2.Request) -> None:
    for name in [name for name in request.headers if name.lower() not in USUAL_HEADERS]:
        del request.headers[name]


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Usage(BaseModel):
    prompt_tokens: int | None = Field(None, ge=0, lt=2**31)
    completion_tokens: int | None = Field(None, ge=0, lt=2**31)


class _Reply(BaseModel):
    """The part of a chat completion that counts; servers differ in the rest."""

    choices: list[_Choice] = Field(min_length=1)
    usage: _Usage | None = None


def read_completion(reply: bytes | object, seconds: float) -> Completion:
    """What a server answered.

    Args:
        reply: the JSON of a chat completion, or its value.

    Raises:
        ProviderError: it is not a chat completion.
    """
    try:
        known = _Reply.model_validate_json(reply) if isinstance(reply, bytes) else _Reply.model_validate(reply)
    except ValidationError as error:
        raise ProviderError(NO_COMPLETION, kind="no answer") from error
    choice, usage = known.choices[0], known.usage
    refusal = choice.message.refusal
    finish = {"length": "length", "content_filter": "refusal"}.get(choice.finish_reason, "stop")
    return Completion(text=refusal or choice.message.content or "", finish="refusal" if refusal else finish,
                      prompt_tokens=usage.prompt_tokens if usage else None,
                      completion_tokens=usage.completion_tokens if usage else None, seconds=seconds)


def _is_unknown_model(error: openai.APIStatusError) -> bool:
    text = str(error).lower()
    return error.status_code == 404 or error.code == "model_not_found" or "not a valid model" in text


def explained(error: openai.OpenAIError, model: str, client: OpenAI) -> ProviderError:
    """Why a call failed, in words."""
    # What a log shows of the cause must not hold the key either.
    error.message = without_key(error.message, client.api_key) if hasattr(error, "message") else ""
    error.args = tuple(without_key(str(each), client.api_key) for each in error.args)
    message, hint = _words(error, model, client)
    if isinstance(error, openai.APITimeoutError):
        return ProviderError(message, hint, kind="timeout")
    if isinstance(error, openai.RateLimitError) and error.code != "insufficient_quota":
        return ProviderError(message, hint, kind="rate limit")
    if isinstance(error, openai.APIConnectionError) and not isinstance(error.__cause__, httpx2.ConnectError):
        return ProviderError(message, hint, kind="broken off")
    stops = (openai.AuthenticationError, openai.PermissionDeniedError, openai.RateLimitError, openai.APIConnectionError)
    if isinstance(error, stops) or (isinstance(error, openai.APIStatusError) and _is_unknown_model(error)):
        return ProviderSetupError(message, hint, kind="setup")
    return ProviderError(message, hint, kind="server" if isinstance(error, openai.InternalServerError) else "request")


def _words(error: openai.OpenAIError, model: str, client: OpenAI) -> tuple[str, str]:
    """What happened and what to do, without the key."""
    server = f"{client.base_url.scheme}://{client.base_url.netloc.decode()}"
    if isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError):
        return (f"{server} refuses the API key.",
                "Check the key. A key from OPENAI_API_KEY is sent only to OpenAI or to OPENAI_BASE_URL.")
    if isinstance(error, openai.APITimeoutError):
        return f"{server} gave no answer in time.", "Raise the timeout, or lower the concurrency."
    if isinstance(error, openai.APIConnectionError):
        if isinstance(error.__cause__, httpx2.ConnectError):
            return f"{client.base_url} cannot be reached.", "Check the address and that the server runs."
        return f"{server} broke off its answer.", "Look at the server's log, then retry the failed features."
    if isinstance(error, openai.APIStatusError) and _is_unknown_model(error) and model:
        return f"{server} has no model {model!r}.", "Choose one that the server lists."
    if isinstance(error, openai.RateLimitError):
        quota = error.code == "insufficient_quota"
        return (f"{server} says the quota is used up." if quota else f"{server} limits the rate of calls.",
                "Check plan and billing." if quota else "Lower the concurrency, then retry the failed features.")
    said = without_key(_said(error), client.api_key)[:300]
    return f"{server} answered with an error: {said}", "Retry the failed features, or try another model."


def _said(error: openai.OpenAIError) -> str:
    """The server's reason. The client passes on only what stands where OpenAI puts it; others write it elsewhere."""
    said, body = getattr(error, "message", "") or type(error).__name__, getattr(error, "body", None)
    if isinstance(body, dict) and not body.get("message"):
        body = body.get("detail")
    elif not isinstance(body, str) or body.startswith("<"):
        body = None
    return f"{said}: {body}" if body else said
