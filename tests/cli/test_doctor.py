"""``doctor`` names what is wrong here: real files, databases and servers."""

import sys
from types import SimpleNamespace

import pytest
from sqlalchemy import text

from mistudio.demo.fetch import MODEL_NAME
from mistudio.demo.sums import write_sums
from mistudio.doctor import pinned
from tests.servers.ollama_server import OllamaServer
from tests.servers.openai_server import OpenAIServer
from tests.shell import as_json, process, shell

KEY = "sk-of-somebody"


@pytest.fixture
def here(tmp_path, database_url):
    """Settings of a machine on which all is well and nobody is asked."""
    return {"MISTUDIO_DATA_DIR": str(tmp_path / "data"), "OPENAI_API_KEY": "", "MISTUDIO_DEVICE": "cpu"}


def findings(status=0, **environment):
    return {found["check"]: SimpleNamespace(**found) for found in as_json("doctor", status=status, **environment)}


def test_all_is_well(here, tmp_path):
    found = findings(**here)
    assert {name: each.text for name, each in found.items() if each.state != "ok" and name != "memory"} == {}
    assert "schema" in found["database"].text and "fetch it" in found["demo model"].text
    assert "not set up" in found["openai"].text and "torch" in found["device"].text
    assert not (tmp_path / "data").exists()


def test_people_read_lines(here):
    out, _err = process("doctor", **here)
    lines = out.splitlines()
    assert all(line.startswith(("ok ", "warning ", "problem ", " ")) for line in lines)
    assert any("all-MiniLM-L6-v2 is as published" in line for line in lines)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc, in which nobody can make a folder")
def test_a_folder_that_cannot_be_written(here):
    found = findings(1, **here | {"MISTUDIO_DATA_DIR": "/proc/mistudio"})["data folder"]
    assert found.state == "problem" and "cannot be written" in found.text and "MISTUDIO_DATA_DIR" in found.hint


def test_a_database_of_a_newer_version(here, engine):
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    found = findings(1, **here)["database"]
    assert found.state == "problem" and "newer mistudio" in found.text and "Upgrade" in found.hint


def test_a_model_that_has_changed(here, tmp_path):
    folder = tmp_path / "data" / "models" / MODEL_NAME
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_text("weights")
    write_sums(folder)
    assert findings(1, **here)["demo model"].state == "ok"
    (folder / "model.safetensors").write_text("others")
    found = findings(1, **here)
    assert found["demo model"].state == "problem" and "model.safetensors" in found["demo model"].text
    assert "Remove the folder" in found["demo model"].hint
    # That the labeler cannot load it is a line of its own, and no traceback.
    assert found["embedded labeler"].state == "problem" and found["embedded labeler"].hint


def test_an_adapter_that_cannot_be_read(here, tmp_path):
    folder = tmp_path / "data" / "adapters" / "mine"
    folder.mkdir(parents=True)
    (folder / "card.json").write_text("{")
    found = findings(**here)["adapters"]
    assert found.state == "warning" and "mine" in found.text


def test_servers_that_answer(here):
    with OpenAIServer(api_key=KEY) as server, OllamaServer() as ollama:
        found = findings(**here | {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": server.base_url,
                                   "OLLAMA_HOST": ollama.url})
    assert found["openai"].state == found["ollama"].state == "ok"
    assert "gpt-test" in found["openai"].text and "llama-test" in found["ollama"].text


def test_servers_that_do_not_answer(here):
    found = findings(1, **here | {"OPENAI_BASE_URL": "http://127.0.0.1:9/v1", "OLLAMA_HOST": "http://127.0.0.1:9"})
    for name, variable in (("openai", "OPENAI_BASE_URL"), ("ollama", "OLLAMA_HOST")):
        assert found[name].state == "problem" and "127.0.0.1:9" in found[name].text and variable in found[name].hint


def test_a_key_that_is_refused_is_never_printed(here):
    with OpenAIServer(api_key="another") as server:
        out, err = shell("doctor", status=1, **here | {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": server.base_url})
    assert "refuses the API key" in out and KEY not in out + err


def test_a_device_that_is_not_there(here):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    found = findings(1, **here | {"MISTUDIO_DEVICE": "cuda"})["device"]
    assert found.state == "problem" and "MISTUDIO_DEVICE" in found.hint


def test_requirements_are_read_without_those_of_the_tests_and_of_other_systems(tmp_path):
    file = tmp_path / "requirements.txt"
    file.write_text("-c constraints.txt\n# the app\na==1.0\nb[c]==2.1  # why\nd==3; sys_platform == 'none'\n"
                    "# tests\npytest==9\n")
    assert list(pinned(file)) == [("a", "1.0"), ("b", "2.1")]
