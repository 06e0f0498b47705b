"""Features that were computed elsewhere look like any others on every page."""

from mistudio.exchange.imports import import_features
from tests.exchange.test_features import write
from tests.pages import html, visit, words


def test_every_page_shows_imported_features(engine, tmp_path):
    lines = [{"index": index, "tokens": ["so", " it", word, " was"], "activations": [0, 0, 2 + number, 0.5],
              "document": f"d{index} {number}"}
             for index, word in ((5, " dollars"), (9, " <b>")) for number in range(12)]
    lines += [{"index": 5, "label": "prices", "explanation": "in dollars"}, {"index": 70, "density": 0.0}]
    report = import_features(engine, write(tmp_path, lines))
    assert "imported" in words(visit()) and "1 dead" in words(visit()).replace("*", "")
    frame = visit("browse").dataframe[0].value
    assert list(frame["index"]) == [5, 9, 70] and frame["label"][0] == "prices"
    shown = html(visit("browse", x=report.extraction, f=9))
    assert "&lt;b&gt;" in shown and "<b> was" not in shown
    assert "prices" in html(visit("review", x=report.extraction, f=5))
    assert "prices" in html(visit("search", q="dollars")) + words(visit("search", q="dollars"))
    assert visit("label").title[0].value == "Label"
