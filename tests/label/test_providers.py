"""The two server providers, through the real clients and real sockets."""

import socket

import pytest

from mistudio.errors import MistudioError, ProviderError, ProviderSetupError
from mistudio.label.answer import answer_schema, parse_reply
from mistudio.label.config import LabelConfig
from mistudio.label.cost import price
from mistudio.label.providers import list_models, make_provider
from mistudio.settings import settings
from tests.servers import ollama_server, openai_server
from tests.servers.base import Failure, Raw, Reply
from tests.servers.ollama_server import OllamaServer
from tests.servers.openai_server import OpenAIServer

ASK = [{"role": "system", "content": "Name it."},
       {"role": "user", "content": 'Active windows\n1. a<< 7>>\n   active: " 7" 10'}]


@pytest.fixture
def openai():
    with OpenAIServer() as server:
        yield server


@pytest.fixture
def ollama():
    with OllamaServer() as server:
        yield server


@pytest.fixture
def nowhere():
    """An address at which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def openai_config(server, **options):
    return LabelConfig(**{"provider": "openai", "model": openai_server.MODEL, "base_url": server.base_url} | options)


def ollama_config(server, **options):
    return LabelConfig(**{"provider": "ollama", "model": ollama_server.MODEL, "base_url": server.url} | options)


def test_openai_asks_for_the_schema_and_counts_tokens(openai):
    found = make_provider(openai_config(openai)).complete(ASK, answer_schema())
    assert parse_reply(found.text).label == "digits in numbers"
    assert found.prompt_tokens > 0
    assert found.seconds > 0
    sent = openai.requests[0]
    assert sent["response_format"]["json_schema"]["schema"] == answer_schema()
    assert "temperature" not in sent
    assert sent["max_completion_tokens"] > 0


def test_openai_sends_a_temperature_only_when_one_is_set(openai):
    make_provider(openai_config(openai, temperature=0.0)).complete(ASK, answer_schema())
    assert openai.requests[0]["temperature"] == 0.0


@pytest.mark.parametrize(("formats", "used"), [(("json_object",), "json_object"), ((), None)])
def test_a_server_without_json_schema_is_asked_otherwise_and_this_is_remembered(formats, used):
    with OpenAIServer(formats=formats) as server:
        provider = make_provider(openai_config(server))
        assert parse_reply(provider.complete(ASK, answer_schema()).text)
        provider.complete(ASK, answer_schema())
        assert [(sent.get("response_format") or {}).get("type") for sent in server.requests] == [used, used]


def test_a_prompt_that_is_bad_for_other_reasons_does_not_give_up_the_schema(openai):
    provider = make_provider(openai_config(openai))
    openai.replies.extend([Failure(400, "context too long")] * 3)
    with pytest.raises(ProviderError, match="context too long"):
        provider.complete(ASK, answer_schema())
    provider.complete(ASK, answer_schema())
    assert openai.requests[-1]["response_format"]["type"] == "json_schema"


def test_openai_waits_and_retries_by_itself_when_told_to(openai):
    openai.replies.append(Failure(429, "slow down", headers={"Retry-After": "0"}))
    assert make_provider(openai_config(openai)).complete(ASK, answer_schema()).text
    assert len(openai.requests) == 2


def test_a_missing_key_says_what_to_set(database_url):
    with pytest.raises(ProviderSetupError, match="OPENAI_API_KEY"):
        make_provider(LabelConfig(provider="openai", model="gpt-5-mini"))


def test_a_refused_key_stops_and_is_not_told_to_anybody():
    with OpenAIServer(api_key="right") as server:
        with pytest.raises(ProviderSetupError, match="refuses the API key") as caught:
            make_provider(openai_config(server), "sk-wrong").complete(ASK, answer_schema())
        assert "sk-wrong" not in str(caught.value)
        with pytest.raises(ProviderSetupError):
            list_models("openai", server.base_url, "sk-wrong")
        assert list_models("openai", server.base_url, "right") == [openai_server.MODEL]


def test_the_key_of_the_environment_goes_to_its_own_address_only(monkeypatch):
    with OpenAIServer(api_key="owner") as server:
        monkeypatch.setenv("OPENAI_API_KEY", "owner")
        settings.cache_clear()
        with pytest.raises(ProviderSetupError):
            make_provider(openai_config(server)).complete(ASK, answer_schema())
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        settings.cache_clear()
        assert make_provider(openai_config(server, base_url=None)).complete(ASK, answer_schema()).text
    monkeypatch.undo()
    settings.cache_clear()


def test_an_unknown_model_stops_and_is_named(openai, ollama):
    with pytest.raises(ProviderSetupError, match="no model 'gpt-9'"):
        make_provider(openai_config(openai, model="gpt-9")).complete(ASK, answer_schema())
    with pytest.raises(ProviderSetupError, match="ollama pull llama9"):
        make_provider(ollama_config(ollama, model="llama9")).complete(ASK, answer_schema())
    with pytest.raises(ProviderSetupError, match="No model is chosen"):
        make_provider(ollama_config(ollama, model=""))


def test_an_unreachable_server_stops(nowhere):
    with pytest.raises(ProviderSetupError, match="ollama serve"):
        make_provider(LabelConfig(provider="ollama", model="m", base_url=nowhere)).complete(ASK, answer_schema())
    with pytest.raises(ProviderSetupError, match="ollama serve"):
        list_models("ollama", nowhere)
    with pytest.raises(ProviderSetupError, match="cannot be reached"):
        make_provider(LabelConfig(provider="openai", model="m", base_url=nowhere)).complete(ASK, answer_schema())


@pytest.mark.parametrize(("provider", "address"), [("openai", "not an address"), ("openai", "http://:x"),
                                                   ("ollama", "http://host:port")])
def test_an_address_that_is_none_is_a_clear_message(provider, address):
    with pytest.raises(MistudioError):
        list_models(provider, address)


def test_a_slow_answer_fails_this_prompt_only(ollama):
    ollama.latency = 1
    with pytest.raises(ProviderError) as caught:
        make_provider(ollama_config(ollama, timeout=0.1)).complete(ASK, answer_schema())
    assert caught.value.kind == "timeout"
    assert not isinstance(caught.value, ProviderSetupError)


def test_a_server_error_fails_this_prompt_only(ollama):
    ollama.replies.append(Failure(500, "out of memory"))
    provider = make_provider(ollama_config(ollama))
    with pytest.raises(ProviderError, match="out of memory") as caught:
        provider.complete(ASK, answer_schema())
    assert not isinstance(caught.value, ProviderSetupError)
    assert provider.complete(ASK, answer_schema()).text


def test_ollama_gets_the_schema_and_a_context_that_holds_the_prompt_and_never_shrinks(ollama):
    provider = make_provider(ollama_config(ollama))
    long = [{"role": "user", "content": ASK[1]["content"] + " word" * 4000}]
    for messages in (ASK, long, ASK):
        provider.complete(messages, answer_schema())
    sizes = [sent["options"]["num_ctx"] for sent in ollama.requests]
    assert sizes[0] < sizes[1] == sizes[2]
    assert sizes[1] >= 20_000 / 2 + 1024
    assert ollama.requests[0]["format"] == answer_schema()
    assert ollama.requests[0]["keep_alive"]


def test_a_cut_answer_is_reported_as_cut(openai, ollama):
    for server, config in ((openai, openai_config(openai)), (ollama, ollama_config(ollama))):
        server.replies.append(Reply('{"label": "clo', "length"))
        assert make_provider(config).complete(ASK, answer_schema()).finish == "length"


def test_ollama_lists_its_models(ollama):
    assert list_models("ollama", ollama.url) == [ollama_server.MODEL]


def test_a_price_is_known_or_unknown_but_never_zero(openai):
    assert price(LabelConfig(provider="openai", model="gpt-4o-mini"), 1_000_000, 0) == pytest.approx(0.15)
    assert price(LabelConfig(provider="openai", model="no-such-model"), 1000, 10) is None
    assert price(openai_config(openai, model="gpt-4o-mini"), 1000, 10) is None
    assert price(LabelConfig(provider="ollama", model="gpt-4o-mini"), 1000, 10) is None
    assert price(LabelConfig(provider="openai", model="gpt-4o-mini"), None, 10) is None


def test_an_option_out_of_range_is_a_message_that_names_it():
    with pytest.raises(MistudioError, match="examples"):
        LabelConfig.checked(examples=0)
    with pytest.raises(MistudioError, match="password"):
        LabelConfig.checked(base_url="https://me:secret@host/v1")
    assert LabelConfig.checked(examples=7, base_url=" ").base_url is None


@pytest.mark.parametrize("body", [
    Raw('{"choices": [{"ind'), Raw("<html>Bad gateway</html>", "text/html"), Raw("null"), Raw("[1]"), Raw("{}"),
    Raw('{"choices": [null]}'), Raw('{"choices": [{"index": 0}]}'),
    Raw('{"choices": [{"message": {"role": "assistant", "content": ["x"]}}]}')])
def test_what_is_no_chat_completion_fails_this_prompt_only(openai, body):
    openai.replies.append(body)
    with pytest.raises(ProviderError, match="no chat completion") as caught:
        make_provider(openai_config(openai)).complete(ASK, answer_schema())
    assert caught.value.kind == "no answer"
    assert not isinstance(caught.value, ProviderSetupError)


def test_tokens_that_a_server_does_not_count_are_unknown(openai):
    openai.replies.append(Raw('{"choices": [{"message": {"role": "assistant", "content": "x"}}], "usage": {}}'))
    found = make_provider(openai_config(openai)).complete(ASK, answer_schema())
    assert (found.text, found.prompt_tokens, found.completion_tokens) == ("x", None, None)
