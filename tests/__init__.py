"""The tests, run by two processes at once: each has its own fixtures, and no test knows which others came before it.

Ports are the system's choice, folders are ``tmp_path``'s and names of databases random, so nothing is shared but the
demo's model, behind its lock. What waits for an event may wait long, as the other tests take their time too.
"""

import os

if "PYTEST_XDIST_WORKER" in os.environ:
    # One thread each, before any library has counted the cores.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
