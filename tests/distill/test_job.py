"""From labels to a labeler: trained, measured, judged, stopped and gone on with, and labeling through a normal run."""

import json
import shutil
from functools import partial

import pytest
from safetensors.torch import load_file

from mistudio.distill.config import DistillConfig
from mistudio.distill.job import distill, resume
from mistudio.distill.samples import Samples
from mistudio.errors import Cancelled, MistudioError, ModelError, ProviderSetupError
from mistudio.jobs.labeling import start_run
from mistudio.jobs.work import work_run
from mistudio.label import adapters
from mistudio.label.base import load_base
from mistudio.label.config import LabelConfig
from mistudio.label.providers import list_models, make_provider
from mistudio.store import session
from mistudio.store.features import FeatureFilter, get_feature
from mistudio.store.runs import run_counts, seconds_a_label
from tests.distill.conftest import add_labeled
from tests.servers.openai_server import MODEL, OpenAIServer
from tests.toy import add_toy_extraction

QUICK = {"epochs": 2, "learning_rate": 1e-5, "batch_size": 16, "rank": 2}
THOROUGH = {"epochs": 4, "learning_rate": 5e-2, "batch_size": 4, "rank": 8}


@pytest.fixture
def make(engine, labeled, base):
    """Distills the labels of the toy extraction under a name."""
    def made(name, progress=lambda *_step: None, **options):
        return distill(engine, name, DistillConfig(**{"base": base} | QUICK | options), progress=progress)

    return made


def weights(name):
    return load_file(adapters.folder_of(name) / "adapter_model.safetensors")


def same(one, other):
    return one.keys() == other.keys() and all(bool((one[name] == other[name]).all()) for name in one)


def stop_at(wanted, steps=None):
    """A progress function that notes the steps and stops at one."""
    def progress(step, _fraction, detail):
        if steps is not None:
            steps.append((step, detail))
        if step == wanted[0] and detail.startswith(wanted[1]):
            raise Cancelled("Stopped.")

    return progress


def test_what_was_learned_labels_through_a_normal_run(engine, data_dir, base):
    labeled = add_labeled(engine, lambda _index: "a", references=120)
    with OpenAIServer() as server:
        card = distill(engine, "mine", DistillConfig(
            base=base, judge="openai", judge_model=MODEL, judge_base_url=server.base_url, **THOROUGH))
    assert not card.verdict.better and "fit unseen windows less well" in card.verdict.sentence, "one name for all"
    assert (card.before.top1, card.after.top1, card.after.similarity) == (0, 1, pytest.approx(1, abs=1e-4))
    assert (card.trained, card.held_out) == (26, 10)
    assert card.before.detection == 0.5, "no label is no better than a guess"
    assert 0 <= card.after.detection <= 1 and 0 <= card.after.embedding <= 1 and server.requests
    config = LabelConfig.checked(provider="embedded:mine")
    assert (config.provider, config.model) == ("embedded", "mine")
    run_id = start_run(engine, labeled, config, FeatureFilter(labels="unlabeled"))
    assert work_run(engine, run_id) == "done"
    with session(engine) as work:
        assert run_counts(work, run_id) == {"queued": 0, "done": 3, "failed": 0, "skipped": 1}
        _feature, label = get_feature(work, labeled, 37)
        assert seconds_a_label(work, "embedded", "mine")[0] > 0, "the next estimate knows its speed"
    assert (label.text, label.provider, label.model, label.cost) == ("a", "embedded", "mine", None)
    assert adapters.labeler(label.provider, label.model) == "embedded:mine"
    assert list_models("embedded") == ["mine"]


def test_what_is_not_better_is_kept_and_said_so(make, base):
    card = make("mine")
    assert not card.verdict.better and card.verdict.sentence.startswith("Not better")
    (found,) = adapters.list_adapters()
    assert (found.state, found.card) == ("done", card)
    assert card.base == base and card.compared == "the base model without an adapter" and card.revision
    assert card.settings["rank"] == 2 and len(card.labels) == 10
    kept = {path.name for path in adapters.folder_of("mine").iterdir()}
    assert kept == {"adapter_model.safetensors", "adapter_config.json", "card.json", "settings.json", ".lock"}
    with pytest.raises(MistudioError, match="already") as caught:
        make("mine")
    assert "--remove mine" in caught.value.hint


def test_a_stopped_one_goes_on_and_ends_the_same(engine, make):
    whole = make("whole")
    steps = []
    with pytest.raises(Cancelled):
        make("cut", stop_at(("Scoring held-out features, before", "0")))
    assert adapters.get_adapter("cut").state == "stopped"
    for stage in (("Training", "step 2/4"), ("Scoring held-out features, after", "0")):
        with pytest.raises(Cancelled):
            resume(engine, "cut", progress=stop_at(stage, steps))
    with pytest.raises(ProviderSetupError, match="stopped before its end") as caught:
        make_provider(LabelConfig(model="cut"))
    assert "--resume" in caught.value.hint
    card = resume(engine, "cut", progress=stop_at(("", "never"), steps))
    assert same(weights("whole"), weights("cut"))
    assert card.model_dump(exclude={"name", "created_at"}) == whole.model_dump(exclude={"name", "created_at"})
    assert [detail[:8] for step, detail in steps if step == "Training"] == [f"step {at}/4" for at in (1, 2, 3, 4)]
    with pytest.raises(MistudioError, match="finished already"):
        resume(engine, "cut")


def test_another_process_can_ask_it_to_stop(engine, make):
    def progress(step, _fraction, _detail):
        if step == "Training":
            assert adapters.get_adapter("mine").state == "training"
            with pytest.raises(MistudioError, match="another process"):
                resume(engine, "mine")
            with pytest.raises(MistudioError, match="being trained"):
                adapters.remove_adapter("mine")
            adapters.request_cancel("mine")

    with pytest.raises(Cancelled, match="was stopped"):
        make("mine", progress)
    with pytest.raises(MistudioError, match="has not ended") as caught:
        make("mine")
    assert "--resume" in caught.value.hint
    samples = Samples.load(adapters.folder_of("mine") / "samples.json")
    prompts = "".join(sample.prompt() for sample in samples.train)
    assert len(samples.held_out) == 10 and not any(held.prompt.text in prompts for held in samples.held_out)
    adapters.remove_adapter("mine")
    assert adapters.list_adapters() == []


def test_too_few_labels_leave_nothing_behind(engine, data_dir, base):
    add_toy_extraction(engine)
    with pytest.raises(MistudioError, match="0 approved labels"):
        distill(engine, "mine", DistillConfig(base=base))
    assert adapters.list_adapters() == []


def test_a_folder_that_cannot_be_written_is_said(make, data_dir):
    data_dir.mkdir()
    (data_dir / "adapters").write_text("in the way")
    with pytest.raises(MistudioError, match="cannot be read or written"):
        make("mine")


@pytest.mark.parametrize("name", ["", "../outside", "Upper", "a/b", "-first", "a.b", "x" * 51, "dot\n"])
def test_a_name_is_never_a_path(make, name):
    with pytest.raises(MistudioError, match="cannot be the name"):
        make(name)


def test_mistakes_are_said_before_anything_is_trained(engine, labeled, base):
    attempt = partial(distill, engine, "mine")
    with pytest.raises(MistudioError, match="No model is chosen"):
        attempt(DistillConfig(base=base, judge="openai"))
    with pytest.raises(MistudioError, match="no extraction 9"):
        attempt(DistillConfig(base=base), 9)
    with pytest.raises(MistudioError, match="rank of its own"):
        DistillConfig.checked(rank=8)
    with pytest.raises(MistudioError, match="names the model already"):
        LabelConfig.checked(provider="embedded:mine", model="other")
    assert adapters.list_adapters() == []
    with pytest.raises(MistudioError, match="no/where"):
        attempt(DistillConfig(base="no/where"))
    assert "no/where" in adapters.get_adapter("mine").progress["error"], "it can be resumed, or removed"


def test_a_missing_adapter_or_another_base_model_is_a_clear_error(engine, make, base, tmp_path):
    with pytest.raises(ProviderSetupError, match="no adapter 'mine'") as caught:
        make_provider(LabelConfig(model="mine"))
    assert "distill NAME" in caught.value.hint
    moved = shutil.copytree(base, tmp_path / "moved")
    card = make("mine", base=str(moved))
    config = json.loads((moved / "config.json").read_text())
    (moved / "config.json").write_text(json.dumps(config | {"rms_norm_eps": 1e-3}))
    with pytest.raises(ModelError, match="not the one that the adapter was trained on"):
        load_base(card.base, card.revision)
    shutil.rmtree(moved)
    with pytest.raises(ModelError, match="could not be loaded"):
        load_base(card.base, card.revision)
    (adapters.folder_of("mine") / "card.json").write_text("{}")
    assert adapters.get_adapter("mine").state == "unreadable"
    with pytest.raises(ProviderSetupError, match="damaged"):
        make_provider(LabelConfig(model="mine"))
