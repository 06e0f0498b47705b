"""A PostgreSQL server of the tests' own, which may be stopped, killed and started again."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import psycopg

PROGRAMS = max(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]), default=None)
USER = "postgres"


def missing() -> str:
    """Why there can be no such server here; "" where there can."""
    if PROGRAMS is None:
        return "no initdb is under /usr/lib/postgresql (on Debian: apt-get install postgresql)"
    if os.geteuid() == 0 and USER not in {entry.pw_name for entry in pwd.getpwall()}:
        return f"PostgreSQL does not run as root, and there is no user {USER}"
    return ""


class Cluster:
    """Runs while it is entered. Its data outlives ``stop``."""

    def __enter__(self) -> "Cluster":
        # Not pytest's folder: only its owner may enter that.
        self.folder = tempfile.mkdtemp(prefix="mistudio-postgresql-")
        self.user, self.up = USER if os.geteuid() == 0 else None, False
        if self.user:
            shutil.chown(self.folder, self.user)
        self.data = f"{self.folder}/data"
        self._run("initdb", "-D", self.data, "-U", "tests", "--auth=trust", "--no-sync", "-E", "UTF8",
                  "--locale=C.UTF-8")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.start()
        return self

    def __exit__(self, *_error) -> None:
        if self.up:
            self.stop()
        shutil.rmtree(self.folder)

    def start(self) -> None:
        """Start, and wait until it takes connections."""
        options = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 -c fsync=off -c timezone=Asia/Tokyo"
        self._run("pg_ctl", "-D", self.data, "-l", f"{self.folder}/log", "-w", "-t", "120", "-o", options, "start")
        self.up = True

    def stop(self, mode: str = "immediate") -> None:
        """Stop as a crash does, which recovers at the next start; or in mode ``fast``, as an administrator does."""
        self._run("pg_ctl", "-D", self.data, "-w", "-m", mode, "stop")
        self.up = False

    def new_database(self, name: str) -> str:
        """The URL of a new database."""
        with psycopg.connect(self._url("postgres"), autocommit=True) as server:
            server.execute(f'CREATE DATABASE "{name}"')
        return self._url(name)

    def _url(self, name: str) -> str:
        return f"postgresql://tests@127.0.0.1:{self.port}/{name}"

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run([PROGRAMS.with_name(program), *arguments], user=self.user, cwd="/", text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        assert done.returncode == 0, f"{program}: {done.stderr}"
