"""How well search finds, how fast it is on a million labels, and how fast a text is read.

    python -m benchmarks.search quality                # recall at 10 and mean reciprocal rank
    python -m benchmarks.search million FILE           # a database that benchmarks.million wrote
    python -m benchmarks.search fires                  # on the newest extraction, as a rule the demo's

Quality is measured on tests/search/quality.py: ranking was tuned on one half of its queries, the other only measures.
"""

import random
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from sqlalchemy import Engine

from mistudio.store import open_store, session
from mistudio.store.extractions import get_extraction
from mistudio.store.filtering import FeatureFilter

app = typer.Typer(no_args_is_help=True, add_completion=False)
# From words that are in a large share of the labels to words that are in none.
QUERIES = ("numbers", "code", "law", "letters", "printed", "in", "court rulings", "prices in dollars", "medicine",
           "anonymous functions", "Python keywords in commit messages", "rare words in sermons", '"question mark"',
           "brackets", "weekday", "legal terms", "boats", "c++", "{", "temperature outside", "zzyzx")
FILTERS = {"no filter": FeatureFilter(), "approved": FeatureFilter(labels="approved"),
           "score at least 0.9": FeatureFilter(score_above=0.9), "dense": FeatureFilter(states=("dense",))}


@app.command()
def quality() -> None:
    """Recall at 10 and mean reciprocal rank by words, by meaning, and by both."""
    from mistudio.search.query import search
    from tests.search.quality import WANTED, measure, plant, planted_labels, shares_a_word, tuned_on

    with tempfile.TemporaryDirectory() as folder:
        engine = open_store(f"sqlite:///{folder}/planted.db")
        extraction_id = plant(engine)
        print(f"{len(WANTED)} queries, {len(planted_labels())} labels")
        print(f"{'recall@10 / MRR':28}{'words':>16}{'meaning':>16}{'both':>16}")
        for name, queries in (("tuned on", [query for query in WANTED if tuned_on(query)]),
                              ("held out", [query for query in WANTED if not tuned_on(query)]),
                              ("no word shared", [query for query in WANTED if not shares_a_word(query)]),
                              ("all", list(WANTED))):
            found = [measure(lambda query, how=how: [hit.index for hit in search(
                engine, extraction_id, query, 50, **how)], queries)
                for how in ({"meaning": False}, {"words": False}, {})]
            print(f"{name + f' ({len(queries)})':28}" + "".join(
                f"{f'{recall:.3f} / {rank:.3f}':>16}" for recall, rank in found))
        engine.dispose()


@app.command()
def million(file: Annotated[Path, typer.Argument(help="A SQLite file of benchmarks.million.")],
            rounds: Annotated[int, typer.Option(help="How often each query is asked.")] = 5) -> None:
    """Times of searches, memory, and what the signs of vectors lose against comparing all of them."""
    from mistudio.search.encoder import encode_query
    from mistudio.search.query import search
    from mistudio.search.vectors import nearest

    engine = open_store(f"sqlite:///{file}")
    with session(engine) as work:
        extraction_id = get_extraction(work).id
    vector = encode_query("numbers")
    before = _memory()
    first = _seconds(lambda: nearest(engine, extraction_id, vector, 10))
    again = _seconds(lambda: nearest(open_store(f"sqlite:///{file}"), extraction_id, vector, 10))
    print(f"codes: {first:.1f} s to build or load, {again:.1f} s from their file; {_memory() - before:,.0f} MB")
    for name, wanted in FILTERS.items():
        _times(name, lambda query, wanted=wanted: search(engine, extraction_id, query, wanted=wanted), rounds)
    _times("words only", lambda query: search(engine, extraction_id, query, meaning=False), rounds)
    _times("encoding the query", encode_query, rounds)
    print(f"memory of the process: {_memory():,.0f} MB")
    _lost(engine, extraction_id)


@app.command()
def fires(tokens: Annotated[int, typer.Option(help="Length of the text.")] = 200,
          db: Annotated[str | None, typer.Option(help="Database; the settings' if not given.")] = None) -> None:
    """Seconds to read a text, its features' names and one feature's activations included, after loading."""
    from mistudio.search.fires import load_reader
    from mistudio.store.search import names_of

    engine = open_store(db)
    with session(engine) as work:
        extraction = get_extraction(work)
    started = time.perf_counter()
    reader = load_reader(extraction)
    print(f"loading: {time.perf_counter() - started:.1f} s")
    words = Path(__file__).read_text()
    text = reader.loaded.tokenizer.decode(reader.loaded.tokenizer(words)["input_ids"][:tokens])

    def read() -> None:
        found = reader.read(text)
        with session(engine) as work:
            names_of(work, extraction.id, found.shown)
        reader.activations(found, int(found.features[0, 0]))

    taken = [_seconds(read) for _round in range(20)]
    print(f"{len(reader.read(text).tokens)} tokens: {_spread(taken)}")


def _times(name: str, ask: Callable[[str], object], rounds: int) -> None:
    """As if each query were asked for the first time."""
    from mistudio.search.encoder import encode_query

    asked = [query for query in QUERIES for _round in range(rounds)]
    random.Random(0).shuffle(asked)
    ask(asked[0])
    taken = []
    for query in asked:
        encode_query.cache_clear()
        taken.append((_seconds(lambda query=query: ask(query)), query))
    print(f"{name:22}{_spread([seconds for seconds, _query in taken])}; slowest: {max(taken)[1]!r}")


def _lost(engine: Engine, extraction_id: int) -> None:
    """Recall at 10 of the nearest labels, against comparing every vector."""
    from mistudio.search.encoder import ENCODER, encode_query
    from mistudio.search.vectors import nearest
    from mistudio.store import vectors as sql
    from tests.search.quality import WANTED

    asked = [(query, vector) for query in WANTED if (vector := encode_query(query)) is not None]
    queries = np.array([vector for _query, vector in asked])
    best = np.full((len(queries), 10), -1.0)
    with session(engine) as work:
        for rows in sql.load_vectors(work, extraction_id, ENCODER):
            block = np.frombuffer(b"".join(row[2] for row in rows), dtype=np.float16).reshape(len(rows), -1)
            best = np.sort(np.concatenate([best, queries @ block.astype(np.float32).T], axis=1))[:, -10:]
    # By similarity, for labels that mean the same to the encoder may stand for each other.
    kept = [np.mean([similar >= best[row, 0] - 1e-4 for *_ids, similar in nearest(engine, extraction_id, vector, 10)])
            for row, (_query, vector) in enumerate(asked)]
    print(f"recall@10 against comparing all: {np.mean(kept):.4f} over {len(asked)} queries, least {min(kept):.1f}")


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _spread(seconds: list[float]) -> str:
    median, slow = np.percentile(seconds, [50, 95])
    return f"median {1000 * median:.0f} ms, 95th percentile {1000 * slow:.0f} ms"


def _memory() -> float:
    """Megabytes this process has held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    app()
