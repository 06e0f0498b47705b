"""How far a long job with files is."""

from collections.abc import Callable

# Step, fraction of it from 0 to 1, and a detail.
Progress = Callable[[str, float, str], object]


def quiet(_step: str, _fraction: float, _detail: str) -> None:
    """Tell nobody."""
