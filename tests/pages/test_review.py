"""Review: what a person decides is in the database at once, and can be taken back."""

import json

import pytest

from mistudio.store import Label, Score, session
from mistudio.store.features import FeatureFilter, get_feature
from mistudio.store.labels import add_label, edit_label, history, judge_label
from mistudio.store.scores import add_score
from mistudio.ui import filters
from tests.pages import html, press, visit, words
from tests.servers.openai_server import MODEL, OpenAIServer
from tests.toy import add_toy_extraction


@pytest.fixture
def server():
    with OpenAIServer() as running:
        yield running


def label_all(engine, extraction_id, indices=range(4), scores=None):
    with session(engine) as work:
        for index in indices:
            feature, _label = get_feature(work, extraction_id, index)
            label = Label(feature_id=feature.id, text=f"pattern {index}", origin="llm", provider="embedded")
            add_label(work, label)
            if scores:
                add_score(work, Score(label_id=label.id, method="detection", judge="x", value=scores[index], n=40),
                          label)


def stored(engine, extraction_id, index):
    with session(engine) as work:
        return get_feature(work, extraction_id, index)[1]


def shown(test):
    return int(test.query_params["f"])


def ask(test, server, hint=""):
    """Have the server asked from now on."""
    test.radio(key="provider").set_value("openai").run()
    test.text_input(key="base_url_openai").set_value(server.base_url).run()
    test.text_input(key="model_openai").set_value(MODEL).run()
    if hint:
        next(field for field in test.text_input if field.label == "Hint").set_value(hint).run()
    return test


def answer(text):
    return json.dumps({"label": text, "explanation": "e", "kind": "token", "confidence": 0.5})


def test_approving_goes_on_to_the_next_and_can_be_undone(engine, toy):
    label_all(engine, toy)
    test = visit("review", order="Index")
    assert "pattern 0" in html(test) and "4 in this queue" in test.get("progress")[0].text
    press(test, "Approve")
    assert stored(engine, toy, 0).verdict == "approved"
    assert "pattern 1" in html(test) and shown(test) == 1
    press(test, "Undo")
    assert stored(engine, toy, 0).verdict == "" and "pattern 0" in html(test)


def test_what_needs_a_look_comes_first_and_the_way_back_is_known(engine, toy):
    label_all(engine, toy, scores=(0.9, 0.3, 0.7, 0.5))
    test = visit("review")
    assert "pattern 1" in html(test) and "scores only 0.30" in words(test).replace("\\", "")
    ways = []
    for name in ("Next", "Next", "Previous", "Next", "Next"):
        ways.append(shown(press(test, name)))
    assert ways == [3, 2, 3, 2, 0], "although each feature lost its place when it was opened"
    press(test, "Approve")
    assert shown(test) == 1, "the queue begins again"
    press(test, "Previous")
    assert shown(test) == 0 and stored(engine, toy, 0).verdict == "approved"
    with session(engine) as work:
        assert [get_feature(work, toy, index)[0].seen for index in range(5)] == [True] * 4 + [False]


def test_the_order_can_be_chosen(engine, toy):
    label_all(engine, toy, scores=(0.9, 0.5, 0.7, 0.6))
    assert "pattern 0" in html(visit("review", order="Highest score"))
    assert "pattern 3" in html(visit("review", order="Highest density"))


def test_rejecting_counts_and_shows_in_its_queue(engine, toy):
    label_all(engine, toy)
    press(visit("review", f=2), "Reject")
    assert stored(engine, toy, 2).verdict == "rejected"
    assert "pattern 2" in html(visit("review", queue="Rejected"))


def test_the_filter_of_browse_is_a_queue(engine, toy):
    label_all(engine, toy)
    test = visit("review", order="Index", only=filters.to_url(FeatureFilter(labels="labeled", max_density=0.0025)))
    assert "2 in this queue" in test.get("progress")[0].text and "From Browse: labeled" in words(test)
    assert shown(press(test, "Next")) == 1
    assert "cannot be read" in visit("review", only="nonsense=1").error[0].value


def test_an_edit_is_a_persons_label(engine, toy):
    label_all(engine, toy)
    test = press(visit("review", f=1), "Edit")
    test.text_input[0].set_value("round and square brackets")
    press(test, "Save")
    label = stored(engine, toy, 1)
    assert (label.text, label.origin, label.verdict) == ("round and square brackets", "human", "approved")
    assert "round and square brackets" in html(test), "it stays in view"
    assert not any(button.label == "Save" for button in test.button)
    press(test, "Undo")
    assert stored(engine, toy, 1).text == "pattern 1"


def test_an_empty_edit_is_refused_and_one_that_was_cancelled_stores_nothing(engine, toy):
    label_all(engine, toy)
    test = press(visit("review", f=1), "Edit")
    test.text_input[0].set_value("  ")
    press(test, "Save")
    assert "cannot be empty" in test.error[0].value and stored(engine, toy, 1).text == "pattern 1"
    test.text_input[0].set_value("something else")
    press(test, "Cancel")
    assert stored(engine, toy, 1).text == "pattern 1"
    assert not any(button.label == "Save" for button in test.button)


def test_a_feature_without_label_can_be_named_by_hand(engine, toy):
    test = visit("review", queue="Unlabeled", order="Index")
    test.text_input[0].set_value("years")
    press(test, "Save")
    assert stored(engine, toy, 0).text == "years"


def test_a_star_is_one_key_away(engine, toy):
    label_all(engine, toy)
    test = press(visit("review", f=1), "Star")
    with session(engine) as work:
        assert get_feature(work, toy, 1)[0].starred
    press(test, "Unstar")
    with session(engine) as work:
        assert not get_feature(work, toy, 1)[0].starred


def test_an_empty_queue_says_where_to_go(engine, toy):
    assert "Nothing waits" in words(visit("review"))
    assert "Nothing waits" in words(visit("review", queue="Failed"))


def test_what_was_changed_meanwhile_is_neither_judged_nor_undone(engine, toy):
    label_all(engine, toy)
    test = visit("review", f=1)
    with session(engine) as work:
        edit_label(work, get_feature(work, toy, 1)[0].id, "a colleague's", author="ann")
    press(test, "Reject")
    assert "changed by somebody else" in test.error[0].value
    assert stored(engine, toy, 1).verdict == "approved"
    press(press(test, "Reject"), "Previous")
    with session(engine) as work:
        edit_label(work, get_feature(work, toy, 1)[0].id, "ann's again", author="ann")
    press(test, "Undo")
    assert "left as it is" in test.error[0].value and stored(engine, toy, 1).text == "ann's again"


def open_bulk(engine, **query):
    test = visit("review", order="Index", **query)
    test.session_state["bulk"] = True
    return test.run()


def test_many_labels_are_approved_above_a_score_and_undone_as_one(engine, toy):
    label_all(engine, toy, range(5), scores=(0.9, 0.5, 0.85, 0.82, 0.95))
    with session(engine) as work:
        judge_label(work, stored(engine, toy, 4).id, "rejected", author="ann")
    test = open_bulk(engine)
    assert "3 labels" in words(test) and "pattern 3 (0.82)" in words(test).replace("\\", "")
    press(test, "Approve 3 labels")
    assert stored(engine, toy, 0).verdict == "", "the question comes first"
    test.button(key="bulk_sure").click().run()
    verdicts = [stored(engine, toy, index).verdict for index in range(5)]
    assert verdicts == ["approved", "", "approved", "approved", "rejected"]
    assert "pattern 1" in html(test) and "1 in this queue" in test.get("progress")[0].text
    press(test, "Undo")
    assert [stored(engine, toy, index).verdict for index in range(5)] == ["", "", "", "", "rejected"]


def test_many_labels_are_rejected_but_none_of_a_persons(engine, toy):
    label_all(engine, toy)
    with session(engine) as work:
        edit_label(work, get_feature(work, toy, 1)[0].id, "mine", author="ann")
    test = open_bulk(engine, queue="Labeled")
    test.segmented_control(key="bulk_action").set_value("Reject").run()
    press(test, "Reject 3 labels")
    press(test, "Cancel")
    assert stored(engine, toy, 0).verdict == ""
    press(test, "Reject 3 labels")
    test.button(key="bulk_sure").click().run()
    assert [stored(engine, toy, index).verdict for index in range(4)] == ["rejected", "approved", "rejected",
                                                                         "rejected"]


def test_relabeling_many_is_handed_to_the_label_page(engine, toy):
    label_all(engine, toy, scores=(0.9, 0.5, 0.85, 0.4))
    test = open_bulk(engine)
    test.segmented_control(key="bulk_action").set_value("Relabel").run()
    test.selectbox(key="bulk_score_Relabel").select("0.6").run()
    found = next(each.proto for each in test.get("page_link") if each.proto.label == "Relabel 2 features")
    assert "only=labels%3Dunreviewed%26score_below%3D0.6" in found.query_string


def test_candidates_stand_side_by_side_with_their_scores(engine, server):
    toy = add_toy_extraction(engine, references=90)
    label_all(engine, toy)
    server.replies += [answer("court and law terms"), answer("digits in numbers")]
    test = ask(visit("review", f=0), server, hint="mind the digits")
    test.segmented_control(key="regenerate_candidates").set_value(2).run()
    press(test, "Regenerate")
    assert stored(engine, toy, 0).text == "digits in numbers", "the best is current"
    page = html(test)
    assert page.count("score 0.") + page.count("score 1.00") >= 3
    assert "hint: mind the digits" in page and "mind the digits" in server.requests[-1]["messages"][-1]["content"]
    with session(engine) as work:
        labels = {label.text: label.id for label in history(work, get_feature(work, toy, 0)[0].id)}
    assert set(labels) == {"pattern 0", "court and law terms", "digits in numbers"}
    assert stored(engine, toy, 0).score is not None, "the chosen one is measured on the test split"
    test.button(key=f"choose-{labels['court and law terms']}").click().run()
    assert stored(engine, toy, 0).text == "court and law terms" and stored(engine, toy, 0).score is not None
    press(press(test, "Undo"), "Undo")
    assert stored(engine, toy, 0).text == "pattern 0"


def test_answers_that_say_the_same_are_shown_once(engine, server):
    add_toy_extraction(engine, references=90)
    server.replies += [answer("digits in numbers")] * 2
    test = ask(visit("review", queue="Unlabeled", f=0), server)
    test.segmented_control(key="regenerate_candidates").set_value(2).run()
    press(test, "Label it")
    assert "Of 2 answers, 1 said the same" in test.toast[0].value.replace("\\", "")


def test_regenerating_never_takes_the_place_of_a_persons_label(engine, toy, server):
    label_all(engine, toy)
    with session(engine) as work:
        edit_label(work, get_feature(work, toy, 1)[0].id, "mine", author="ann")
        judge_label(work, stored(engine, toy, 2).id, "approved", author="ann")
    for index, text in ((1, "mine"), (2, "pattern 2")):
        server.replies.append(answer(f"another name {index}"))
        test = press(ask(visit("review", f=index), server), "Regenerate")
        assert stored(engine, toy, index).text == text and f"another name {index}" in html(test)
        with session(engine) as work:
            made = history(work, get_feature(work, toy, index)[0].id)[0]
        test.button(key=f"choose-{made.id}").click().run()
        assert stored(engine, toy, index).id == made.id, "but the person may choose it"


def test_the_embedded_labeler_says_that_it_understands_no_hint(engine, toy):
    label_all(engine, toy)
    field = next(field for field in visit("review", f=0).text_input if field.label == "Hint")
    assert field.disabled and "understands no hint" in field.placeholder


def test_replies_never_become_markup(engine, toy):
    with session(engine) as work:
        feature, _label = get_feature(work, toy, 0)
        add_label(work, Label(feature_id=feature.id, text="<b onclick=x>", explanation="<svg onload=x>", origin="llm"))
    page = html(visit("review", f=0))
    assert "<svg" not in page and "<b onclick" not in page
