"""What verdicts and rankings amount to."""

from dataclasses import dataclass

import numpy as np

DRAWS = 4000
# Of 10: mostly noise in small SAEs, in between, and where the pattern is.
STRENGTHS = ((0, 3), (3, 6), (6, 10.01))


@dataclass(frozen=True)
class Quality:
    """``value`` with its 95% interval, and the same with active windows weighed by strength."""

    value: float
    low: float
    high: float
    weighted: float
    precision: float | None = None
    recall: float | None = None


def of_verdicts(right: np.ndarray, said: np.ndarray, strength: np.ndarray) -> Quality:
    """Balanced accuracy of verdicts.

    Its interval is that of the posterior with flat priors (Brodersen et al. 2010, "The balanced accuracy and its
    posterior distribution"), which stays honest when every verdict is right.

    Args:
        right, said: ``[n]`` bool, the true answers and the judge's; both answers occur in ``right``.
        strength: ``[n]`` of the active windows, 0 to 10.
    """
    hits, found = int((right & said).sum()), int(said.sum())
    passes, positive = int((~right & ~said).sum()), int(right.sum())
    negative = len(right) - positive
    random = np.random.default_rng(0)
    drawn = (random.beta(hits + 1, positive - hits + 1, DRAWS)
             + random.beta(passes + 1, negative - passes + 1, DRAWS)) / 2
    value = (hits / positive + passes / negative) / 2
    # The flat priors pull towards the middle, where a perfect value would lie outside its own interval.
    low, high = np.quantile(drawn, (0.025, 0.975))
    weight = strength[right]
    heavy = float((weight * said[right]).sum() / weight.sum())
    return Quality(value, min(float(low), value), max(float(high), value), (heavy + passes / negative) / 2,
                   hits / found if found else None, hits / positive)


def of_ranking(right: np.ndarray, nearness: np.ndarray, strength: np.ndarray) -> Quality:
    """AUROC: how often an active window is nearer than a silent one, ties counting half.

    The interval uses the standard error of Hanley and McNeil (1982).
    """
    above = (nearness[right][:, None] > nearness[~right]) + 0.5 * (nearness[right][:, None] == nearness[~right])
    each = above.mean(axis=1)
    area, positive, negative = float(above.mean()), int(right.sum()), int((~right).sum())
    one, two = area / (2 - area), 2 * area**2 / (1 + area)
    variance = (area * (1 - area) + (positive - 1) * (one - area**2) + (negative - 1) * (two - area**2)) / (
        positive * negative)
    width = 1.96 * max(variance, 0.0) ** 0.5
    weight = strength[right]
    return Quality(area, max(area - width, 0.0), min(area + width, 1.0), float((weight * each).sum() / weight.sum()))


def recalls(right: np.ndarray, said: np.ndarray, strength: np.ndarray, decile: np.ndarray) -> dict:
    """``[found, all]`` of the active windows by decile (0 faintest) and by strength of 10."""
    by_decile = [[int((said & right & (decile == place)).sum()), int((right & (decile == place)).sum())]
                 for place in range(10)]
    by_strength = {}
    for low, high in STRENGTHS:
        inside = right & (strength >= low) & (strength < high)
        by_strength[f"{low}-{int(high)}"] = [int((said & inside).sum()), int(inside.sum())]
    return {"decile": by_decile, "strength": by_strength}
