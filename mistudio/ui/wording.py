"""Runs, money and time in words."""

import math

from mistudio.label.adapters import labeler
from mistudio.label.providers import FREE
from mistudio.run.config import RunConfig
from mistudio.store.tables import Run

HERE = "nothing, it runs on your machine"


def duration(seconds: float) -> str:
    """Seconds in words that fit their size."""
    if seconds < 0.95:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def dollars(amount: float) -> str:
    """Cents where there are dollars, and two digits that count where there are only cents."""
    digits = 2 if amount >= 1 or amount <= 0 else min(6, 1 - math.floor(math.log10(amount)))
    return f"${amount:,.{max(2, digits)}f}"


def span(low: str, high: str) -> str:
    """Two ends as a range, or as one value where they read the same."""
    return low if low == high else f"{low} to {high}"


def spend(run: Run) -> str:
    """What a run cost so far; never a zero for what is not known."""
    if not pays(run.config):
        return HERE
    if run.cost is not None:
        return dollars(run.cost)
    return "unknown" if run.prompt_tokens else "–"


def asked(run: Run) -> str:
    """Who labels or judges in a run."""
    return labeler(run.config.get("provider", ""), run.config.get("model", ""))


def pays(config: RunConfig | dict) -> bool:
    """Whether somebody is paid for the answers, by a config or what is stored of it."""
    return (config.get("provider") if isinstance(config, dict) else config.provider) not in FREE
