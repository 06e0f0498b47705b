"""A small threaded HTTP server that a test can steer: what it answers, how slowly, how it fails."""

import argparse
import json
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.servers.answers import plausible


@dataclass(frozen=True)
class Failure:
    """An answer that is an HTTP error."""

    status: int
    message: str = "broken on purpose"
    code: str | None = None
    headers: dict[str, str] = field(default_factory=dict)


class Reset(Exception):
    """Raised instead of an answer: the connection is reset."""


@dataclass(frozen=True)
class Raw:
    """An answer whose HTTP body is this text, whatever the protocol says; ``cut`` promises more of it than comes."""

    body: str
    content_type: str = "application/json"
    cut: bool = False


@dataclass(frozen=True)
class Reply:
    """An answer whose text stopped for another reason than being finished."""

    text: str
    finish: str = "stop"


class _Threaded(ThreadingHTTPServer):
    daemon_threads, block_on_close = True, False
    request_queue_size = 128  # with the usual 5, a burst of connections waits a second for the kernel


class LocalServer:
    """Serves on this machine while it is entered; ``handler`` finds it as its ``owner``."""

    def __init__(self, handler: type[BaseHTTPRequestHandler], port: int = 0):
        self.http = _Threaded(("127.0.0.1", port), type("Handler", (handler,), {"owner": self}))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http.server_address[1]}"

    def __enter__(self):
        threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_error) -> None:
        self.http.shutdown()
        self.http.server_close()


class FakeServer(LocalServer):
    """Answers each prompt with the next of ``replies``, or else with ``answer(messages)``.

    ``latency`` is seconds before an answer; while ``gate`` is an event, all answers but the first ``free`` wait until
    it is set. ``requests`` holds the body of every prompt, ``headers`` those of every post, and ``most_in_flight`` the
    highest number of prompts at a time.
    """

    def __init__(self, models: list[str], port: int = 0, latency: float = 0.0):
        self.models, self.latency = models, latency
        self.answer: Callable[[list[dict]], str | Reply | Raw | Failure] = plausible
        self.replies: deque[str | Reply | Raw | Failure] = deque()
        self.gate: threading.Event | None = None
        self.free = 0
        self.requests: list[dict] = []
        self.headers: list = []
        self.in_flight = self.most_in_flight = 0
        self.arrived = threading.Condition()
        super().__init__(_Handler, port)

    def __exit__(self, *error) -> None:
        if self.gate:
            self.gate.set()
        super().__exit__(*error)

    def wait_for_requests(self, count: int, timeout: float = 20) -> None:
        """Block until that many prompts have arrived."""
        with self.arrived:
            came = self.arrived.wait_for(lambda: len(self.requests) >= count, timeout)
        assert came, f"only {len(self.requests)} prompts of {count} came"

    def next_answer(self, body: dict) -> Reply | Raw | Failure:
        with self.arrived:
            self.requests.append(body)
            number = len(self.requests)
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
            queued = self.replies.popleft() if self.replies else None
            self.arrived.notify_all()
        try:
            if self.gate and number > self.free:
                self.gate.wait(60)
            if self.latency:
                threading.Event().wait(self.latency)
            found = queued if queued is not None else self.answer(body["messages"])
            return Reply(found) if isinstance(found, str) else found
        finally:
            with self.arrived:
                self.in_flight -= 1

    def get(self, path: str, headers) -> tuple[int, dict | str]:
        raise NotImplementedError

    def post(self, path: str, headers, body: dict | bytes) -> tuple[int, dict, dict[str, str]]:
        raise NotImplementedError


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # An answer is two writes, and the kernel would hold the second one back for 40 ms.
    disable_nagle_algorithm = True
    owner: FakeServer

    def do_GET(self) -> None:
        self._send(*self.owner.get(self.path.split("?")[0].rstrip("/"), self.headers))

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = data if self.headers.get_content_maintype() == "multipart" else json.loads(data or b"{}")
        try:
            self._send(*self.owner.post(self.path.split("?")[0].rstrip("/"), self.headers, body))
        except Reset:
            # Without lingering, closing a socket resets its connection.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.rfile.close()
            self.connection.close()
            self.close_connection = True

    def _send(self, status: int, body: dict | str, headers: dict[str, str] | None = None) -> None:
        data = (body if isinstance(body, str) else json.dumps(body)).encode()
        headers = {"Content-Type": "application/json", "Content-Length": str(len(data)), **(headers or {})}
        self.close_connection |= int(headers["Content-Length"]) > len(data)
        try:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the client gave up waiting, as a client may

    def log_message(self, *_args) -> None:
        """A test's output is not the place for an access log."""


def serve_by_hand(server: type[FakeServer], port: int, about: str | None) -> None:
    """Run a server from a shell until Ctrl-C, to try the app against it."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--port", type=int, default=port)
    parser.add_argument("--latency", type=float, default=0.5, help="seconds before each answer")
    chosen = parser.parse_args()
    with server(port=chosen.port, latency=chosen.latency) as running:
        print(f"model {running.models[0]} at {running.url} (stop with Ctrl-C)", flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return
