"""What answers prompts: one protocol, one file a provider."""

from dataclasses import dataclass
from typing import Protocol

from mistudio.errors import ProviderSetupError
from mistudio.label.adapters import list_adapters
from mistudio.label.config import PROVIDERS
from mistudio.run.config import RunConfig

Messages = list[dict[str, str]]

# Providers that run on the user's own machine and cost nothing; "none" is a scoring run that asks nobody.
FREE = ("ollama", "embedded", "none")
# Prompts that the embedded labeler takes up together.
EMBEDDED_BATCH = 16
# Calls at a time when the user sets none. While the embedded labeler writes a batch, the next one gathers.
CONCURRENCY = {"openai": 8, "ollama": 2, "embedded": 2 * EMBEDDED_BATCH, "none": 1}
# What these do is done in this process, and takes as long however many calls wait for it.
IN_PROCESS = ("embedded", "none")


@dataclass(frozen=True)
class Completion:
    """What a provider answered: raw text, tokens used (None when it did not say), and seconds it took; an equal share
    of them where several prompts are answered together.

    ``finish`` is "stop", "length" (cut off) or "refusal".
    """

    text: str
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    seconds: float = 0.0
    finish: str = "stop"


class Provider(Protocol):
    """Answers prompts, from several threads at a time.

    The text of a completion is JSON in the given schema; a provider whose model writes a bare label wraps it so itself.
    ``rate_limits`` counts how often its server has asked for fewer calls.
    """

    name: str
    model: str
    default_concurrency: int
    rate_limits: int

    def complete(self, messages: Messages, schema: dict) -> Completion:
        """Answer one prompt.

        Raises:
            ProviderSetupError: no prompt can succeed until the user changes something.
            ProviderError: this prompt got no answer.
        """
        ...

    def close(self) -> None:
        """Send nothing more, not even for calls that are under way."""
        ...


def make_provider(config: RunConfig, api_key: str | None = None) -> Provider:
    """The provider that the config asks for.

    Args:
        api_key: a key for the ``openai`` provider, used before the one in the environment.

    Raises:
        ProviderSetupError: no model is chosen, or a key is missing.
    """
    if config.provider == "embedded":
        from mistudio.label.providers.embedded import EmbeddedProvider

        return EmbeddedProvider.named(config.model, config.temperature)
    if not config.model:
        raise ProviderSetupError(f"No model is chosen for {config.provider}.",
                                 "Choose a model, for example --model NAME.", kind="setup")
    if config.provider == "openai":
        from mistudio.label.providers.openai import OpenAIProvider

        return OpenAIProvider(config, api_key)
    from mistudio.label.providers.ollama import OllamaProvider

    return OllamaProvider(config)


def list_models(provider_name: str, base_url: str | None = None, api_key: str | None = None) -> list[str]:
    """Names of the models a server offers, sorted; of the embedded provider, those of the user's own adapters.

    Raises:
        ProviderSetupError: the server cannot be reached, or refuses the key.
    """
    if provider_name not in PROVIDERS:
        raise ProviderSetupError(f"There is no provider {provider_name!r}.", f"Use one of: {', '.join(PROVIDERS)}.",
                                 kind="setup")
    if provider_name == "openai":
        from mistudio.label.providers.openai import list_openai_models

        return list_openai_models(base_url, api_key)
    if provider_name == "ollama":
        from mistudio.label.providers.ollama import list_ollama_models

        return list_ollama_models(base_url)
    return [found.name for found in list_adapters() if found.state == "done"]
