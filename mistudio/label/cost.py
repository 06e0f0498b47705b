"""What a call costs. A price that nobody knows is None, never 0."""

from genai_prices import Usage, calc_price

from mistudio.errors import MistudioError
from mistudio.label.providers import FREE
from mistudio.run.config import RunConfig
from mistudio.settings import settings


def check_budget(config: RunConfig) -> None:
    """Refuse a budget in dollars that could not be kept.

    Raises:
        MistudioError: the model has no price, or nobody knows it.
    """
    if config.budget_dollars is not None and price(config, 1_000, 1_000) is None:
        why = "runs on your own machine" if config.provider in FREE else "has no known price"
        raise MistudioError(f"A budget in dollars cannot be kept: {config.model or config.provider} {why}.",
                            "Set a budget in tokens instead.")


def price(config: RunConfig, prompt_tokens: int | None, completion_tokens: int | None, *,
          batch: bool = False) -> float | None:
    """US dollars for one call or many; None when tokens or price are unknown, or the model runs on one's own machine.

    Prices are those shipped with the installed genai-prices library.

    Args:
        batch: at the price of batches.
    """
    if config.provider in FREE or prompt_tokens is None or completion_tokens is None:
        return None
    address = config.base_url or settings().openai_base_url
    where = {"provider_api_url": address} if address else {"provider_id": "openai"}
    try:
        found = calc_price(Usage(input_tokens=prompt_tokens, output_tokens=completion_tokens), config.model,
                           price_context={"processing": "batch"} if batch else None, **where)
    except (LookupError, ValueError):
        return None
    return float(found.total_price)
