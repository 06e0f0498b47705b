"""The labels of the shipped SAE's features that the embedded labeler was taught with."""

from mistudio.exchange.rows import read_rows
from mistudio.label.providers.embedded import ADAPTER
from mistudio.store.labels import MAX_WORDS


def test_they_can_be_imported_into_an_extraction_of_the_shipped_sae():
    with (ADAPTER / "seed_labels.jsonl").open("rb") as file:
        rows = [row for _number, row in read_rows(file, "jsonl")]
    features = [row.feature for row in rows]
    assert len(set(features)) == len(features) == 217 and max(features) < 4608
    assert all(len(row.label.split()) <= MAX_WORDS and row.origin == "llm" for row in rows)
