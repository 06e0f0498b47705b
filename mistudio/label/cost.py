"""What a call costs. A price that nobody knows is None, never 0."""

from genai_prices import Usage, calc_price

from mistudio.label.config import LabelConfig
from mistudio.label.providers import FREE
from mistudio.settings import settings


def price(config: LabelConfig, prompt_tokens: int | None, completion_tokens: int | None) -> float | None:
    """US dollars for one call or many; None when tokens or price are unknown, or the model runs on one's own machine.

    Prices are those shipped with the installed genai-prices library.
    """
    if config.provider in FREE or prompt_tokens is None or completion_tokens is None:
        return None
    address = config.base_url or settings().openai_base_url
    where = {"provider_api_url": address} if address else {"provider_id": "openai"}
    try:
        found = calc_price(Usage(input_tokens=prompt_tokens, output_tokens=completion_tokens), config.model, **where)
    except (LookupError, ValueError):
        return None
    return float(found.total_price)
