"""Whether an adapter is better than what there was before. Where chance may explain it, it is not called so."""

import numpy as np

from mistudio.distill.measure import Measured, mean
from mistudio.label.adapters import Verdict

DRAWS = 10_000


def verdict(before: Measured, after: Measured) -> Verdict:
    """Better only if the 95% interval of the mean difference in similarity lies above 0, the right label is the nearest
    and among the five nearest no less often, and no score on windows fell by more than chance."""
    gain = np.array(after.similarity) - np.array(before.similarity)
    low, high = interval(gain)
    old, new = before.summary(), after.summary()
    numbers = (f"similarity {old.similarity:.2f} before, {new.similarity:.2f} after, a difference of "
               f"{gain.mean():+.2f} (95%: {low:+.2f} to {high:+.2f}) on {len(gain)} held-out labels")
    why = ""
    if new.failed == len(gain):
        why = "it gave no usable label at all"
    elif low <= 0:
        why = "the similarity fell" if high < 0 else "chance may explain the difference in similarity"
    elif new.top1 < old.top1:
        why = f"the right label is the nearest less often ({old.top1:.0%} before, {new.top1:.0%} after)"
    elif new.top5 < old.top5:
        why = f"the right label is among the five nearest less often ({old.top5:.0%} before, {new.top5:.0%} after)"
    else:
        fell = [method for method in after.scores if _fell(before.scores.get(method, []), after.scores[method])]
        why = f"its labels fit unseen windows less well (by {fell[0]})" if fell else ""
    sentence = f"Not better: {why}; {numbers}." if why else f"Better: {numbers}."
    return Verdict(better=not why, sentence=sentence, difference=float(gain.mean()), low=low, high=high)


def interval(differences: np.ndarray) -> tuple[float, float]:
    """The 95% bootstrap interval of the mean of paired differences ``[n]``; always the same for the same ones."""
    random = np.random.default_rng(0)
    drawn = random.choice(differences, (DRAWS, len(differences))).mean(axis=1)
    low, high = np.quantile(drawn, (0.025, 0.975))
    return float(low), float(high)


def _fell(before: list[float | None], after: list[float | None]) -> bool:
    both = [new - old for old, new in zip(before, after, strict=True) if old is not None and new is not None]
    return mean(both) is not None and interval(np.array(both))[1] < 0
