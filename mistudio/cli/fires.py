"""The command that reads a text with the extraction's model and SAE: what fires on it."""

from typing import Annotated

import typer

from mistudio.cli.options import AsJson, Database, ExtractionId, opened
from mistudio.cli.output import plain, print_json, print_table, token
from mistudio.store import session
from mistudio.store.examples import load_vocabulary
from mistudio.store.search import Named, names_of


def fires(
    text: Annotated[str, typer.Argument(help="The text to read, at most 512 tokens of it.")],
    db: Database = None,
    extraction: ExtractionId = None,
    as_json: AsJson = False,
    feature: Annotated[int | None, typer.Option(help="Show one feature on the text, instead of the strongest.",
                                                min=0)] = None,
    limit: Annotated[int, typer.Option(help="How many features a token.", min=1, max=20)] = 3,
    dense: Annotated[bool, typer.Option(help="Also features that are active on over a tenth of all tokens.")] = False,
) -> None:
    """Show which features fire on a text, token by token, or where one feature does."""
    from mistudio.search.fires import load_reader, strongest

    engine, chosen = opened(db, extraction)
    reader = load_reader(chosen, lambda step: None if as_json else print(f"{step} …"))
    found = reader.read(text)
    with session(engine) as work:
        vocabulary = load_vocabulary(work, chosen.vocabulary_hash)
        names = names_of(work, chosen.id, found.shown if feature is None else [feature])
    texts = [vocabulary[id_] if id_ < len(vocabulary) else f"[{id_}]" for id_ in found.tokens]
    if feature is None:
        features = strongest(found, names, limit, dense=dense)
    else:
        features = [[(names[feature], value)] if value > 0 else []
                    for value in reader.activations(found, feature).tolist()]
    rows = list(zip(texts, features, strict=True))
    if as_json:
        print_json([{"token": name, "features": [
            {"index": each.index, "label": each.label, "activation": value} for each, value in features]}
            for name, features in rows])
    elif feature is not None:
        print(f"Feature {feature}: {plain(names[feature].label or 'not labeled')}")
        print("".join(f"<<{plain(name)}>>" if features else plain(name) for name, features in rows))
    else:
        print_table(("token", "strongest features"), [
            (token(name), ", ".join(_named(*each) for each in features)) for name, features in rows])
    if found.cut:
        print("The text is longer than what is read: its end was left out.")


def _named(found: Named, value: float) -> str:
    return f"{found.index} {found.label or 'not labeled'} ({value:.1f})"
