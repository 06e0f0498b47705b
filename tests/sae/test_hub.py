"""SAEs of a repository: what is fetched of it, over a real socket, and what is said of what is not there."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from tests.servers.hub import Hub
from tests.tiny import tiny_sae

LOAD = """
import json, sys
from mistudio.errors import SAEError
from mistudio.sae.load import load_sae
for name in sys.stdin:
    try:
        sae = load_sae(name.rstrip("\\n"))
        found = {"name": sae.name, "hook_point": sae.hook_point, "d_sae": sae.d_sae, "hash": sae.hash}
    except SAEError as error:
        found = {"message": error.message, "hint": error.hint}
    print(json.dumps(found), flush=True)
"""
LAYOUT = ("cfg.json", "sae_weights.safetensors")


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """A repository with SAEs at its top and in folders, and two files that are an SAE each."""
    root = tmp_path_factory.mktemp("hub")
    repository = tiny_sae(root / "lab" / "saes")
    for number, folder in enumerate(("layer_1", "layer_1/wide", "layer_1/[odd]")):
        tiny_sae(repository / folder, metadata={"hook_name": f"blocks.{number}.hook_mlp_out"})
    weights = (repository / "sae_weights.safetensors").read_bytes()
    for name in ("one", "two"):
        (repository / "files").mkdir(exist_ok=True)
        (repository / "files" / f"{name}.safetensors").write_bytes(weights)
    with Hub(root) as running:
        yield running


@pytest.fixture(scope="module")
def processes(hub, tmp_path_factory):
    """Two processes that load what they are told to, with one cache: the address of a hub is read at the start."""
    cache = tmp_path_factory.mktemp("cache")
    environment = os.environ | {"HF_ENDPOINT": hub.url, "HF_HUB_CACHE": str(cache), "HF_HUB_OFFLINE": "0"}
    started = [subprocess.Popen([sys.executable, "-c", LOAD], env=environment, stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, text=True) for _ in range(2)]
    yield cache, *started
    for process in started:
        process.communicate(timeout=60)


@pytest.fixture
def load(hub, processes):
    """Loads an SAE in the first process, from an empty cache, or ``again`` in the second one."""
    cache, *started = processes
    shutil.rmtree(cache)
    cache.mkdir()

    def loaded(name, again=False):
        hub.fetched.clear()
        process = started[again]
        process.stdin.write(f"{name}\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline()), sorted(path.removeprefix("lab/saes/") for path in hub.fetched)

    return loaded


@pytest.mark.parametrize(("path", "hook_point", "files"), [
    ("", "blocks.1.hook_resid_post", LAYOUT),
    (":layer_1", "blocks.0.hook_mlp_out", [f"layer_1/{name}" for name in LAYOUT]),
    (":layer_1/wide/", "blocks.1.hook_mlp_out", [f"layer_1/wide/{name}" for name in LAYOUT]),
    (":layer_1/[odd]", "blocks.2.hook_mlp_out", [f"layer_1/[odd]/{name}" for name in LAYOUT]),
    (":files/two.safetensors", None, ["files/two.safetensors"]),
    (":layer_1/sae_weights.safetensors", "blocks.0.hook_mlp_out", [f"layer_1/{name}" for name in LAYOUT])])
def test_no_more_is_fetched_than_the_sae(load, path, hook_point, files):
    found, fetched = load(f"lab/saes{path}")
    assert (found["name"], found["hook_point"], found["d_sae"]) == (f"lab/saes{path}", hook_point, 48)
    assert fetched == sorted(files)
    assert load(f"lab/saes{path}", again=True) == (found, []), "the second time it comes from the cache"


@pytest.mark.parametrize(("name", "says"), [
    ("lab/saes:layer_9", "the repository holds no 'layer_9'"), ("lab/saes:files/no.pt", "holds no 'files/no.pt'"),
    ("lab/nothing", "was not found"), ("neither folder nor id", "was not found"),
    ("lab/saes:files", "holds no SAE of a known format")])
def test_what_is_not_there_is_told_with_what_to_give(load, name, says):
    found, _fetched = load(name)
    assert says in found["message"] and found["hint"]
