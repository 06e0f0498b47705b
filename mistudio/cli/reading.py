"""Commands that read and come back at once: runs, features, show, prompts, search."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, get_args

import typer

from mistudio.cli.options import WHICH, AsJson, Database, ExtractionId, ScoreAbove, ScoreBelow, opened, selection
from mistudio.cli.output import Steps, money, plain, print_json, print_table, token
from mistudio.errors import MistudioError
from mistudio.label.adapters import labeler
from mistudio.label.providers import FREE
from mistudio.store import Feature, Label, Run, open_store, session
from mistudio.store import features as store
from mistudio.store import runs as run_store
from mistudio.store.examples import SOURCES, SPLITS, load_examples, load_vocabulary
from mistudio.store.labels import history
from mistudio.store.tables import Extraction

SORTS = get_args(store.Sort)


def runs(db: Database = None, extraction: ExtractionId = None, as_json: AsJson = False,
         limit: Annotated[int, typer.Option(help="How many, newest first.", min=1)] = 20) -> None:
    """List labeling runs, newest first."""
    engine = open_store(db)
    with session(engine) as work:
        found = [(run, run_store.run_counts(work, run.id)) for run in run_store.list_runs(work, extraction, limit)]
    if as_json:
        print_json([run_record(run, counts) for run, counts in found])
        return
    print_table(("run", "extraction", "state", "provider", "model", "done", "failed", "skipped", "left", "cost",
                 "started"),
                [(run.id, run.extraction_id, run.state, run.config.get("provider", ""), run.config.get("model", ""),
                  counts["done"], counts["failed"], counts["skipped"], counts["queued"], _cost(run),
                  f"{run.created_at:%Y-%m-%d %H:%M}") for run, counts in found],
                right=("run", "extraction", "done", "failed", "skipped", "left"))


def features(
    db: Database = None,
    extraction: ExtractionId = None,
    as_json: AsJson = False,
    which: Annotated[str, typer.Option("--features", help=WHICH)] = "all",
    score_above: ScoreAbove = None,
    score_below: ScoreBelow = None,
    state: Annotated[list[str] | None, typer.Option(help="live, rare, dense or dead; may be repeated.")] = None,
    text: Annotated[str, typer.Option(help="Words of a label or an explanation, or how they begin.")] = "",
    sort: Annotated[str, typer.Option(help=f"One of {', '.join(SORTS)}.")] = "index",
    descending: Annotated[bool, typer.Option(help="Largest first.")] = False,
    limit: Annotated[int, typer.Option(help="How many.", min=1)] = 50,
    offset: Annotated[int, typer.Option(help="How many to leave out first.", min=0)] = 0,
) -> None:
    """List features with their labels."""
    if sort not in SORTS:
        raise MistudioError(f"{sort!r} is not something to sort by.", f"Use one of: {', '.join(SORTS)}.")
    engine, chosen = opened(db, extraction)
    wanted = replace(selection(which, chosen.d_sae, score_above, score_below), states=tuple(state or ()), text=text)
    with session(engine) as work:
        rows = store.list_features(work, chosen.id, wanted, sort=sort, descending=descending, limit=limit,
                                   offset=offset)
        total = store.count_features(work, chosen.id, wanted)
    if as_json:
        print_json([feature_record(feature, label) for feature, label in rows])
        return
    print_table(("index", "label", "score", "top tokens", "density", "max", "state"),
                [(feature.index, _named(label), "" if feature.score is None else f"{feature.score:.2f}",
                  " ".join(token(row[0]) for row in feature.top_tokens[:4]),
                  f"{feature.density:.3%}", f"{feature.max_activation:.2f}", feature.state)
                 for feature, label in rows], right=("index", "score", "density", "max"))
    if total > len(rows):
        print(f"{len(rows)} of {total:,} features; --limit and --offset show others.")


def show(
    index: Annotated[int, typer.Argument(help="Index of the feature in its SAE.", min=0)],
    db: Database = None,
    extraction: ExtractionId = None,
    as_json: AsJson = False,
    examples: Annotated[int, typer.Option(help="How many top and how many random examples.", min=0)] = 5,
    prompt: Annotated[bool, typer.Option("--prompt", help="Show the prompt that a labeler would get.")] = False,
    provider: Annotated[str, typer.Option(help="With --prompt: for which provider.")] = "openai",
    template: Annotated[str, typer.Option(metavar="NAME|FILE", help="With --prompt: a template by name (see "
                                          "the command prompts), or a .md file.")] = "",
) -> None:
    """Show one feature: statistics, tokens, examples and label; or the prompt that would name it."""
    engine, chosen = opened(db, extraction)
    with session(engine) as work:
        feature, label = store.get_feature(work, chosen.id, index)
        windows = _windows(work, chosen, feature, examples)
        labels = history(work, feature.id)
    if prompt:
        from mistudio.label.config import LabelConfig
        from mistudio.label.one import preview

        named = Path(template) if template.endswith(".md") else template
        shown = preview(engine, feature.id, LabelConfig.checked(provider=provider), named)
        if as_json:
            print_json({"index": index, "template": shown.template, "hash": shown.hash, "messages": shown.messages})
        else:
            print("\n".join(plain(line) for line in shown.text.split("\n")))
    elif as_json:
        print_json(feature_record(feature, label) | {
            "note": feature.note, "histogram": feature.histogram, "promoted": feature.promoted,
            "suppressed": feature.suppressed, "examples": windows,
            "history": [_label_record(entry) | {"id": entry.id} for entry in labels]})
    else:
        _print_feature(feature, label, windows, len(labels))


def prompts(as_json: AsJson = False) -> None:
    """List the prompt templates for labels: the package's, and your own in the data folder's prompts."""
    from mistudio.label.prompts.templates import label_templates

    found, wrong = label_templates()
    if as_json:
        print_json({"templates": [{"name": each.name, "hash": each.hash, "own": each.own, "first_line": each.first_line}
                                  for each in found], "unusable": [error.message for error in wrong]})
        return
    print_table(("name", "hash", "whose", "first line"),
                [(each.name, each.hash, "yours" if each.own else "mistudio", each.first_line[:80]) for each in found])
    for error in wrong:
        print(f"Not usable: {plain(error.message)}")


def search(
    text: Annotated[str, typer.Argument(help="What to look for: words, symbols or a meaning.")],
    db: Database = None,
    extraction: ExtractionId = None,
    as_json: AsJson = False,
    limit: Annotated[int, typer.Option(help="How many.", min=1)] = 20,
    meaning: Annotated[bool, typer.Option(help="Search by meaning too, or by words only.")] = True,
    which: Annotated[str, typer.Option("--features", help=WHICH)] = "all",
    score_above: ScoreAbove = None,
    score_below: ScoreBelow = None,
    state: Annotated[list[str] | None, typer.Option(help="live, rare, dense or dead; may be repeated.")] = None,
) -> None:
    """Find features by what their label says or means. What stands between double quotes must be there word for word.
    """
    engine, chosen = opened(db, extraction)
    wanted = replace(selection(which, chosen.d_sae, score_above, score_below), states=tuple(state or ()))
    from mistudio.search.query import search as find
    from mistudio.search.vectors import ensure_vectors

    if meaning:
        with Steps(quiet=as_json) as steps:
            ensure_vectors(engine, chosen.id,
                           lambda done, total: steps("Encoding labels", done / total, f"{done}/{total}"))
    hits = find(engine, chosen.id, text, limit, meaning=meaning, wanted=wanted)
    if as_json:
        print_json([asdict(hit) for hit in hits])
    elif hits:
        print_table(("index", "label", "why", "explanation"),
                    [(hit.index, hit.label, hit.why, hit.explanation) for hit in hits], right=("index",))
    else:
        print("No label fits.")


def run_record(run: Run, counts: dict[str, int]) -> dict:
    """A run as JSON shows it; an unknown cost is null."""
    return {"run": run.id, "extraction": run.extraction_id, "kind": run.kind, "state": run.state,
            "message": run.message, "config": run.config, "items": counts, "prompt_tokens": run.prompt_tokens,
            "completion_tokens": run.completion_tokens, "cost": run.cost, "created_at": run.created_at,
            "started_at": run.started_at, "finished_at": run.finished_at}


def feature_record(feature: Feature, label: Label | None) -> dict:
    """A feature and its current label as JSON shows them."""
    return {"index": feature.index, "state": feature.state, "density": feature.density,
            "active_tokens": feature.active_tokens, "max_activation": feature.max_activation,
            "mean_activation": feature.mean_activation, "top_tokens": feature.top_tokens, "starred": feature.starred,
            "label": _label_record(label) if label else None}


def _label_record(label: Label) -> dict:
    return {"text": label.text, "explanation": label.explanation, "kind": label.kind, "confidence": label.confidence,
            "score": label.score, "score_method": label.score_method,
            "origin": label.origin, "verdict": label.verdict, "provider": label.provider, "model": label.model,
            "author": label.author, "created_at": label.created_at}


def _windows(work, extraction: Extraction, feature: Feature, count: int) -> list[dict]:
    found = load_examples(work, feature)
    if found is None:
        return []
    vocabulary = load_vocabulary(work, extraction.vocabulary_hash)
    windows = []
    for source in SOURCES:
        chosen = found.only(source=source)
        if source == "top":
            chosen = chosen.take((-chosen.strength()).argsort(kind="stable"))
        for row in range(min(count, len(chosen))):
            inside = chosen.tokens[row] >= 0
            windows.append({
                "source": source, "split": SPLITS[chosen.split[row]], "strength": float(chosen.strength()[row]),
                "tokens": [vocabulary[id_] if id_ < len(vocabulary) else f"[{id_}]"
                           for id_ in chosen.tokens[row][inside]],
                "activations": [float(value) for value in chosen.activations[row][inside]]})
    return windows


def _print_feature(feature: Feature, label: Label | None, windows: list[dict], labels: int) -> None:
    print(f"Feature {feature.index}: {plain(label.text) if label else 'not labeled'}")
    if label:
        by = labeler(label.provider, label.model) or label.author
        print(plain(label.explanation) if label.explanation else "No explanation.")
        print(f"Label by {label.origin}{f' ({plain(by)})' if by else ''}, {label.verdict or 'not reviewed'}; "
              f"{labels} in its history")
    print(f"{feature.state}, active on {feature.density:.3%} of tokens, maximum {feature.max_activation:.2f}")
    for title, rows in (("Top tokens", feature.top_tokens), ("Promotes", feature.promoted),
                        ("Suppresses", feature.suppressed)):
        if rows:
            print(f"{title}: {' '.join(token(row[0]) for row in rows[:8])}")
    for window in windows:
        parts = [f"<<{plain(text)}>>" if active > 0 else plain(text)
                 for text, active in zip(window["tokens"], window["activations"], strict=True)]
        print(f"{window['source']:>6} {window['strength']:7.2f}  {''.join(parts)}")


def _named(label: Label | None) -> str:
    return "" if label is None else f"{label.text} (rejected)" if label.verdict == "rejected" else label.text


def _cost(run: Run) -> str:
    return "free" if run.config.get("provider") in FREE else money(run.cost)
