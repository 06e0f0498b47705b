"""Review: what a person decides is in the database at once, and can be taken back."""

from mistudio.store import Label, session
from mistudio.store.features import get_feature
from mistudio.store.labels import add_label
from tests.pages import html, visit, words


def label_all(engine, extraction_id, indices=range(4)):
    with session(engine) as work:
        for index in indices:
            feature, _label = get_feature(work, extraction_id, index)
            add_label(work, Label(feature_id=feature.id, text=f"pattern {index}", origin="llm", provider="embedded"))


def stored(engine, extraction_id, index):
    with session(engine) as work:
        return get_feature(work, extraction_id, index)[1]


def press(test, name):
    next(button for button in test.button if button.label == name).click().run()
    assert not test.exception
    return test


def test_approving_goes_on_to_the_next_and_can_be_undone(engine, toy):
    label_all(engine, toy)
    test = visit("review")
    assert "pattern 0" in html(test) and "4 in this queue" in test.get("progress")[0].text
    press(test, "Approve")
    assert stored(engine, toy, 0).verdict == "approved"
    assert "pattern 1" in html(test) and test.query_params["f"] == "1"
    press(test, "Undo")
    assert stored(engine, toy, 0).verdict == "" and "pattern 0" in html(test)


def test_rejecting_counts_and_shows_in_its_queue(engine, toy):
    label_all(engine, toy)
    press(visit("review", f=2), "Reject")
    assert stored(engine, toy, 2).verdict == "rejected"
    assert "pattern 2" in html(visit("review", queue="Rejected"))


def test_an_edit_is_a_persons_label(engine, toy):
    label_all(engine, toy)
    test = visit("review", f=1)
    test.text_input[0].set_value("round and square brackets")
    press(test, "Save")
    label = stored(engine, toy, 1)
    assert (label.text, label.origin, label.verdict) == ("round and square brackets", "human", "approved")
    assert "round and square brackets" in html(test), "it stays in view"
    press(test, "Undo")
    assert stored(engine, toy, 1).text == "pattern 1"


def test_an_empty_edit_is_refused(engine, toy):
    label_all(engine, toy)
    test = visit("review", f=1)
    test.text_input[0].set_value("  ")
    press(test, "Save")
    assert "cannot be empty" in test.error[0].value and stored(engine, toy, 1).text == "pattern 1"


def test_next_and_previous_stay_in_the_queue(engine, toy):
    label_all(engine, toy, (1, 5, 8))
    test = visit("review")
    press(press(test, "Next"), "Next")
    assert test.query_params["f"] == "8"
    press(test, "Previous")
    assert test.query_params["f"] == "5"


def test_a_feature_without_label_can_be_named_by_hand(engine, toy):
    test = visit("review", queue="Unlabeled")
    test.text_input[0].set_value("years")
    press(test, "Save")
    assert stored(engine, toy, 0).text == "years"


def test_an_empty_queue_says_where_to_go(engine, toy):
    assert "Nothing waits" in words(visit("review"))
    assert "Nothing waits" in words(visit("review", queue="Failed"))


def test_replies_never_become_markup(engine, toy):
    with session(engine) as work:
        feature, _label = get_feature(work, toy, 0)
        add_label(work, Label(feature_id=feature.id, text="<b onclick=x>", explanation="<svg onload=x>", origin="llm"))
    page = html(visit("review", f=0))
    assert "<svg" not in page and "<b onclick" not in page
