"""``report``: what the scores of an extraction's labels say together."""

import math

from mistudio.cli.options import AsJson, Database, ExtractionId, opened
from mistudio.cli.output import money, print_json, print_table
from mistudio.score.report import Gain, Group, Summary
from mistudio.score.report import report as make_report
from mistudio.store import session


def report(db: Database = None, extraction: ExtractionId = None, as_json: AsJson = False) -> None:
    """Show how good the labels are: scores beside those of wrong labels, by kind, density, model and prompt."""
    engine, chosen = opened(db, extraction)
    with session(engine) as work:
        found = make_report(work, chosen.id)
    if as_json:
        print_json(found.as_dict())
        return
    if not found.summaries:
        print("No label has been scored yet. Score them with: python -m mistudio score")
        return
    print_summaries(found.summaries)
    _print_groups(found.groups)
    _print_gains(found.gains)


def print_summaries(summaries: tuple[Summary, ...]) -> None:
    """Scores by method, each beside what wrong labels got on the same windows."""
    rows = []
    for each in summaries:
        low, high = each.interval
        shares = each.found or {}
        rows.append((
            each.method, ", ".join(each.judges), f"{len(each.values):,}", f"{each.mean:.3f}",
            "–" if math.isnan(low) else f"{low:.3f} to {high:.3f}",
            "not tried" if each.baseline is None else f"{each.baseline:.3f}", f"{each.quantiles[2]:.3f}",
            f"{each.weighted:.3f}", " ".join(f"{name}: {share:.0%}" for name, share in shares.items()) or "–"))
    if rows:
        print_table(("method", "judge", "labels", "mean", "95%", "wrong labels", "median", "weighted",
                     "found, by strength"), rows, right=("labels", "mean", "wrong labels", "median", "weighted"))


def _print_groups(groups: tuple[Group, ...]) -> None:
    for by in dict.fromkeys(group.by for group in groups):
        print()
        print_table((by, "method", "labels", "mean"),
                    [(group.name, group.method, f"{group.labels:,}", f"{group.mean:.3f}") for group in groups
                     if group.by == by], right=("labels", "mean"))


def _print_gains(gains: tuple[Gain, ...]) -> None:
    for gain in gains:
        price = money(gain.dollars_a_point) if gain.dollars_a_point is not None else "unknown"
        print(f"\nLabeled again: {gain.features:,} features, {gain.points:+.1f} points of {gain.method} on average; "
              f"cost of a point on one feature: {price}.")
