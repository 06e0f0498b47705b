"""Which features a job is for, as people write it: ``0-99,205``."""

import re
from collections.abc import Iterable

from mistudio.errors import MistudioError

_HINT = "Write indices and ranges with commas between them, for example 0-99,205."


def parse_indices(text: str, d_sae: int) -> tuple[int, ...]:
    """Feature indices in rising order, each once.

    Args:
        text: indices and inclusive ranges, for example ``0-99,205``.
        d_sae: number of features of the SAE; every index is below it.

    Raises:
        MistudioError: nothing is chosen, a part is no index or range, or an index does not exist.
    """
    chosen: set[int] = set()
    for part in filter(None, (part.strip() for part in re.split(r"[,;\n]", text))):
        match = re.fullmatch(r"([0-9]{1,9})(?:\s*[-–]\s*([0-9]{1,9}))?", part)
        if match is None:
            raise MistudioError(f"{part!r} is not a feature index or range.", _HINT)
        first = int(match[1])
        last = int(match[2] or first)
        if last < first:
            raise MistudioError(f"The range {part!r} runs backwards.", f"Write {last}-{first}.")
        if last >= d_sae:
            raise MistudioError(f"There is no feature {last}: this SAE has {d_sae:,} features.",
                                f"Use indices from 0 to {d_sae - 1}.")
        chosen.update(range(first, last + 1))
    if not chosen:
        raise MistudioError("No feature is chosen.", _HINT)
    return tuple(sorted(chosen))


def format_indices(indices: Iterable[int]) -> str:
    """What ``parse_indices`` reads as these indices, as short as it can be written."""
    runs: list[list[int]] = []
    for index in sorted(set(indices)):
        if runs and index == runs[-1][-1] + 1:
            runs[-1][1:] = [index]
        else:
            runs.append([index])
    return ",".join("-".join(map(str, run)) for run in runs)
