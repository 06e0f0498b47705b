"""What the scores of many labels say together: distribution, baseline, groups, and what better labels cost."""

import math
from dataclasses import asdict, dataclass

import numpy as np
from sqlmodel import Session

from mistudio.label.adapters import labeler
from mistudio.store.extractions import get_extraction
from mistudio.store.features import count_features
from mistudio.store.scores import METHODS, ScoreRow, score_rows

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
# Features of an extraction that are all read although somebody waits; of more, so many are drawn. The mean of their
# scores is then known to about 0.003.
MOST_READ, SAMPLED = 20_000, 3000


@dataclass(frozen=True)
class Summary:
    """Scores by one method. ``values`` are all of them, ``baselines`` those that wrong labels got on the same windows;
    ``found`` is the share of active windows that the judge found, by strength (None for the embedding score)."""

    method: str
    judges: tuple[str, ...]
    values: tuple[float, ...]
    baselines: tuple[float, ...]
    weighted: float
    found: dict[str, float] | None

    @property
    def mean(self) -> float:
        return float(np.mean(self.values))

    @property
    def baseline(self) -> float | None:
        """Mean of the wrong labels; None when none was tried."""
        return float(np.mean(self.baselines)) if self.baselines else None

    @property
    def interval(self) -> tuple[float, float]:
        """95% interval of the mean over labels, by its standard error."""
        if len(self.values) < 2:
            return math.nan, math.nan
        width = 1.96 * float(np.std(self.values, ddof=1)) / len(self.values) ** 0.5
        return self.mean - width, self.mean + width

    @property
    def quantiles(self) -> tuple[float, ...]:
        """At 10, 25, 50, 75 and 90%."""
        return tuple(float(value) for value in np.quantile(self.values, QUANTILES))


@dataclass(frozen=True)
class Group:
    """Mean score by one method of labels that have something in common: ``by`` is kind, density, model or prompt."""

    by: str
    name: str
    method: str
    labels: int
    mean: float


@dataclass(frozen=True)
class Gain:
    """What labeling again brought, over features whose first and current label were scored alike.

    ``points`` is the mean gain in hundredths; ``cost`` is US dollars for all later labels and their scores, None where
    it is not known.
    """

    method: str
    features: int
    points: float
    cost: float | None

    @property
    def dollars_a_point(self) -> float | None:
        """Dollars for one hundredth more on one feature; None when nothing was gained or the cost is not known."""
        gained = self.points * self.features
        return self.cost / gained if self.cost is not None and gained > 0 else None


@dataclass(frozen=True)
class Report:
    """Everything that is known of the quality of an extraction's current labels. ``sampled`` is how many features were
    drawn at random for it, None where all were read."""

    summaries: tuple[Summary, ...]
    groups: tuple[Group, ...]
    gains: tuple[Gain, ...]
    sampled: int | None = None

    def as_dict(self) -> dict:
        """For JSON: what people read, without every single value."""
        return {
            "methods": [{
                "method": each.method, "judges": list(each.judges), "labels": len(each.values), "mean": each.mean,
                "interval": list(each.interval) if len(each.values) > 1 else None, "weighted": each.weighted,
                "baseline": each.baseline, "baseline_labels": len(each.baselines),
                "quantiles": dict(zip(map(str, QUANTILES), each.quantiles, strict=True)),
                "found_by_strength": each.found} for each in self.summaries],
            "groups": [asdict(group) for group in self.groups],
            "gains": [asdict(gain) | {"dollars_a_point": gain.dollars_a_point} for gain in self.gains]}


def report(work: Session, extraction_id: int, *, quick: bool = False) -> Report:
    """The newest test-split score of each current label by each method, put together.

    Args:
        quick: of a large extraction, read only some features, drawn at random but always the same ones.
    """
    drawn: tuple[int, ...] = ()
    if quick and count_features(work, extraction_id) > MOST_READ:
        features = get_extraction(work, extraction_id).d_sae
        drawn = tuple(np.random.default_rng(0).choice(features, SAMPLED, replace=False).tolist())
    rows = score_rows(work, extraction_id=extraction_id, indices=drawn)
    current = [row for row in rows if row.current]
    return Report(summaries(current), tuple(_groups(current)), tuple(_gains(rows)), len(drawn) or None)


def run_summaries(work: Session, run_id: int) -> tuple[Summary, ...]:
    """What the labels of one run scored, by method."""
    return summaries(score_rows(work, run_id=run_id))


def summaries(rows: list[ScoreRow]) -> tuple[Summary, ...]:
    """One summary for each method that occurs."""
    made = []
    for method in METHODS:
        mine = [row for row in rows if row.method == method]
        if mine:
            made.append(Summary(
                method, tuple(sorted({row.judge for row in mine})), tuple(row.value for row in mine),
                tuple(row.baseline for row in mine if row.baseline is not None),
                float(np.mean([row.weighted for row in mine])), _found(mine)))
    return tuple(made)


def _found(rows: list[ScoreRow]) -> dict[str, float] | None:
    totals: dict[str, np.ndarray] = {}
    for row in rows:
        for name, pair in row.recalls.get("strength", {}).items():
            totals[name] = totals.get(name, np.zeros(2)) + pair
    return {name: float(found / every) for name, (found, every) in totals.items() if every} or None


def _groups(rows: list[ScoreRow]) -> list[Group]:
    made = []
    for by in ("kind", "density", "model", "prompt"):
        together: dict[tuple[str, str], list[float]] = {}
        for row in rows:
            together.setdefault((row.method, _name(row, by)), []).append(row.value)
        made += [Group(by, name, method, len(values), float(np.mean(values)))
                 for (method, name), values in sorted(together.items())]
    return made


def _name(row: ScoreRow, by: str) -> str:
    if by == "density":
        # By powers of ten of the percentage: 0.01% to 0.1%, and so on.
        power = math.floor(math.log10(max(row.density, 1e-9) * 100))
        return f"{10.0**power:g}% to {10.0**(power + 1):g}%"
    return {"kind": row.kind or "none given", "model": labeler(row.provider, row.model) or row.origin,
            "prompt": f"{row.prompt} {row.label_prompt_hash}".strip() or "none"}[by]


def _gains(rows: list[ScoreRow]) -> list[Gain]:
    made = []
    for method in METHODS:
        features: dict[tuple[int, str], list[ScoreRow]] = {}
        for row in rows:
            if row.method == method:
                features.setdefault((row.feature_id, row.judge), []).append(row)
        pairs = []
        for same in features.values():
            first = min(same, key=lambda row: row.label_id)
            now = next((row for row in same if row.current), None)
            if now is not None and now.label_id != first.label_id:
                pairs.append((first, now, [row for row in same if row.label_id != first.label_id]))
        if pairs:
            later = [row for _first, _now, others in pairs for row in others]
            costs = [cost for row in later for cost in (row.label_cost, row.cost if row.judged else 0.0)]
            made.append(Gain(method, len(pairs), float(np.mean([100 * (now.value - first.value)
                                                                for first, now, _later in pairs])),
                             None if None in costs else float(sum(costs))))
    return made
