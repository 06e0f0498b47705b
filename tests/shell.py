"""Commands of the shell: in a process of their own, or, which is as real and starts at once, in that of the tests."""

import io
import json
import os
import signal
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout

import pytest

from mistudio.__main__ import main
from mistudio.settings import settings
from tests.servers.openai_server import MODEL

ENVIRONMENT = {"OPENAI_API_KEY": "sk-test", "COLUMNS": "200"}


def use(server):
    """The options that name this server."""
    return ("--provider", "openai", "--model", MODEL, "--base-url", server.base_url)


def shell(*arguments, status=0, **environment):
    """Standard output and standard error of a command that ends with this status."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["mistudio", *map(str, arguments)])
        for name, value in (ENVIRONMENT | environment).items():
            patch.setenv(name, value)
        settings.cache_clear()
        with pytest.raises(SystemExit) as end:
            main()
    settings.cache_clear()
    assert (end.value.code or 0) == status, out.getvalue() + err.getvalue()
    return out.getvalue(), err.getvalue()


def as_json(*arguments, **options):
    """What a command prints for programs."""
    return json.loads(shell(*arguments, "--json", **options)[0])


def process(*arguments, status=0, **environment):
    """``shell``, in a process of its own."""
    started = start(*arguments, **environment)
    out, err = started.communicate(timeout=120)
    assert started.returncode == status, out + err
    assert "Traceback" not in err
    return out, err


def start(*arguments, **environment):
    """A command that goes on while the test does something else."""
    return subprocess.Popen([sys.executable, "-m", "mistudio", *map(str, arguments)], text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            env=os.environ | ENVIRONMENT | environment, preexec_fn=_listen_to_ctrl_c)


def _listen_to_ctrl_c():
    """Where the tests themselves run in the background, they and all they start would else ignore it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
