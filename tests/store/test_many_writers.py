"""Runs, people, bulk verdicts and stars at once, over the same features in different orders: none of them fails."""

import random
import threading

from sqlmodel import func, select

from mistudio.store import Feature, Label, Score, items, runs, session
from mistudio.store.bulk import judge_many, take_back
from mistudio.store.extractions import delete_extraction
from mistudio.store.features import FeatureFilter, annotate, feature_ids
from mistudio.store.items import Outcome
from mistudio.store.labels import add_label, edit_label, history, judge_label, point_to
from mistudio.store.vectors import save_vectors
from tests.store.test_counts import counted
from tests.toy import add_toy_extraction

FEATURES, ROUNDS, TOGETHER = 40, 12, 8


def answer(feature_id: int, name: str) -> Outcome:
    scores = [Score(label_id=0, method=method, judge="j", value=value, n=40)
              for method, value in (("detection", 0.75), ("fuzzing", 0.5))]
    return Outcome(labels=[(Label(feature_id=feature_id, text=name, origin="llm"), scores)], asked=True)


def test_all_who_write_at_once_get_along(engine):
    extraction_id = add_toy_extraction(engine, features=FEATURES)
    with session(engine) as work:
        ids = feature_ids(work, extraction_id)
        for feature_id in ids:
            add_label(work, Label(feature_id=feature_id, text="first", origin="llm"))
    together, errors = threading.Barrier(7), []

    def in_order(seed: int) -> list[int]:
        return random.Random(seed).sample(ids, len(ids))

    def run(seed: int) -> None:
        with session(engine) as work:
            planned = [{"feature_id": each, "state": "queued"} for each in ids]
            run_id = runs.create_run(work, extraction_id, {}, planned).id
        with session(engine) as work:
            assert runs.take_lease(work, run_id, "me")
        for turn in range(ROUNDS):
            chosen = in_order(100 * seed + turn)[:TOGETHER]
            with session(engine) as work:
                items.finish_items(work, run_id, "me", {each: answer(each, f"run {seed}") for each in chosen},
                                   replace_protected=True)

    def judge(seed: int) -> None:
        for turn in range(ROUNDS):
            for number, feature_id in enumerate(in_order(100 * seed + turn)[:TOGETHER]):
                with session(engine) as work:
                    label = history(work, feature_id)[-1]
                    judge_label(work, label.id, ("approved", "rejected", "")[number % 3], author="ann")

    def edit(seed: int) -> None:
        for turn in range(ROUNDS):
            with session(engine) as work:  # several in one transaction, as an import has them
                for feature_id in in_order(100 * seed + turn)[:TOGETHER]:
                    edit_label(work, feature_id, "mine", author="ann")
                    point_to(work, feature_id, history(work, feature_id)[-1].id)

    def in_bulk(_seed: int) -> None:
        for turn in range(ROUNDS):
            with session(engine) as work:
                verdict = ("approved", "rejected")[turn % 2]
                done = judge_many(work, extraction_id, FeatureFilter(), verdict, author="ann")
            with session(engine) as work:
                take_back(work, done)

    def star(seed: int) -> None:
        for turn in range(ROUNDS):
            with session(engine) as work:
                for feature_id in in_order(100 * seed + turn)[:TOGETHER]:
                    annotate(work, feature_id, starred=bool(turn % 2), seen=True)
                    work.flush()

    def vectors(seed: int) -> None:
        for turn in range(ROUNDS):
            with session(engine) as work:
                save_vectors(work, "tests", [(history(work, each)[-1].id, bytes(4)) for each in in_order(turn + seed)])

    def guarded(job, seed: int) -> None:
        together.wait(60)
        try:
            job(seed)
        except Exception as error:
            errors.append(error)

    jobs = (run, run, judge, edit, in_bulk, star, vectors)
    threads = [threading.Thread(target=guarded, args=pair) for pair in zip(jobs, range(len(jobs)), strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(240)
    assert errors == []
    with session(engine) as work:
        kept, there = counted(work, extraction_id)
        assert kept == there
        assert work.exec(select(func.count()).select_from(Feature).where(Feature.starred)).one() > 0
        delete_extraction(work, extraction_id)
