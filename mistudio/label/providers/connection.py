"""Whether a provider answers, and with what: a question that costs nothing."""

import time
from dataclasses import dataclass

from mistudio.label.completion import completion_text
from mistudio.label.config import LabelConfig
from mistudio.label.providers import list_models, make_provider
from mistudio.label.providers.reach import address_of

# What the embedded labeler is asked to name: anything will do, for only that it answers is of interest.
_ASKED = completion_text([" 7", "42"], [(9.0, "in the year ", "42", " of"), (8.0, "there are ", " 7", " days")])


@dataclass(frozen=True)
class Connection:
    """What answered, and after how many ``seconds``.

    ``address`` is that of the server, "" where the model runs in this process. ``models`` are the names that a server
    lists, sorted.
    """

    address: str
    seconds: float
    models: tuple[str, ...] = ()


def try_connection(provider: str, base_url: str | None = None, api_key: str | None = None,
                   model: str = "") -> Connection:
    """Ask a server for its models; the embedded labeler, which has no server, for one label.

    Args:
        model: the name of an adapter of the user's own, for the embedded labeler.

    Raises:
        ProviderError: there is no answer; it says why and what to do.
    """
    started = time.monotonic()
    if provider == "embedded":
        make_provider(LabelConfig(provider="embedded", model=model)).complete(
            [{"role": "user", "content": _ASKED}], {})
        models = []
    else:
        models = list_models(provider, base_url, api_key)
    return Connection(address_of(provider, base_url), time.monotonic() - started, tuple(models))
