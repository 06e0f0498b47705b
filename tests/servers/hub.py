"""A model hub over a folder ``owner/name/...``: what huggingface_hub asks of one to list and fetch files.

    python -m tests.servers.hub FOLDER              # then set HF_ENDPOINT to the address it prints
"""

import hashlib
import json
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import unquote

from tests.servers.base import LocalServer

COMMIT = "0" * 39 + "1"


class Hub(LocalServer):
    """Serves every repository under ``root`` at one commit. ``fetched`` lists the files that were downloaded."""

    def __init__(self, root: Path):
        self.root, self.fetched = root, []
        super().__init__(_Handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: Hub

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(self.path.split("?")[0])
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/(revision|tree)/[^/]+/?", path):
            self._listing(self.owner.root / found[1], found[1], found[2])
        elif found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/[^/]+/(.+)", path):
            self._file(self.owner.root / found[1], found[2])
        else:
            self._send(404, b"{}")

    def _listing(self, repository: Path, name: str, kind: str) -> None:
        if not repository.is_dir():
            self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})
            return
        files = [file for file in sorted(repository.rglob("*")) if file.is_file()]
        names = [file.relative_to(repository).as_posix() for file in files]
        tree = [{"type": "file", "path": path, "size": file.stat().st_size, "oid": _etag(file)}
                for path, file in zip(names, files, strict=True)]
        about = {"id": name, "sha": COMMIT, "private": False, "tags": [], "siblings": [{"rfilename": path}
                                                                                      for path in names]}
        self._send(200, json.dumps(tree if kind == "tree" else about).encode())

    def _file(self, repository: Path, path: str) -> None:
        file = repository / path
        headers = {"X-Repo-Commit": COMMIT}
        if not file.is_file():
            self._send(404, b"", headers | {"X-Error-Code": "EntryNotFound"})
            return
        data = file.read_bytes()
        headers |= {"ETag": f'"{_etag(file)}"', "Accept-Ranges": "bytes"}
        if asked := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            first, last = int(asked[1]), min(int(asked[2] or len(data) - 1), len(data) - 1)
            self._send(206, data[first:last + 1], headers | {"Content-Range": f"bytes {first}-{last}/{len(data)}"})
            return
        if self.command == "GET":
            self.owner.fetched.append(file.relative_to(self.owner.root).as_posix())
        self._send(200, data, headers)

    def _send(self, status: int, data: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def log_message(self, *_args) -> None:
        """A test's output is not the place for an access log."""


def _etag(file: Path) -> str:
    return hashlib.sha1(file.read_bytes()).hexdigest()


if __name__ == "__main__":
    with Hub(Path(sys.argv[1])) as hub:
        print(hub.url, flush=True)
        threading.Event().wait()
