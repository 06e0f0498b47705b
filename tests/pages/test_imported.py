"""Features that were computed elsewhere look like any others on every page."""

from mistudio.exchange.imports import import_features
from mistudio.store import session
from mistudio.store.examples import load_examples
from mistudio.store.features import get_feature
from mistudio.ui.examples import strongest
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


def test_a_feature_with_a_sample_alone_shows_its_strongest_windows_first(engine, toy):
    with session(engine) as work:
        sample = load_examples(work, get_feature(work, toy, 0)[0]).only(source="random")
    strengths = list(strongest(sample).strength())
    assert len(strengths) == len(sample) > 0 and strengths == sorted(strengths, reverse=True)
