"""A public page calls servers on the public internet, and no other: not by name, form, redirect or rebinding."""

import gzip
import shutil
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler

import httpx2
import pytest
from openai import OpenAI

from mistudio.errors import ProviderSetupError
from mistudio.label.providers import addresses
from mistudio.label.providers.addresses import (
    PublicTransport,
    check_public_url,
    public_addresses,
    public_client,
)
from tests.servers.base import LocalServer

REFUSED = """
    ftp://example.com/v1  file:///etc/passwd  gopher://x  example.com/v1  http://  https:///v1  javascript:alert(1)
    http://user@93.184.216.34/  https://user:password@93.184.216.34/v1  http://93.184.216.34@127.0.0.1/
    http://127.0.0.1:11434  http://127.8.8.8/  http://0.0.0.0/  http://10.1.2.3/v1  http://172.16.0.1/  http://192.168.1.1/
    http://169.254.169.254/latest/meta-data  http://100.64.0.1/  http://192.0.2.1/  http://198.18.0.1/
    http://224.0.0.1/  http://240.0.0.1/  http://255.255.255.255/
    http://[::1]/  http://[::]/  http://[fe80::1]/  http://[fe80::1%25eth0]/  http://[fc00::1]/  http://[fec0::1]/
    http://[ff02::1]/  http://[2001:db8::1]/
    http://[::ffff:127.0.0.1]/  http://[::ffff:93.184.216.34]/  http://[::127.0.0.1]/  http://[64:ff9b::7f00:1]/
    http://[2002:7f00:1::]/  http://[2001:0:7f00:1::1]/  http://[64:ff9b:1::a00:1]/
    http://2130706433/  http://1572395042/  http://0x7f000001/  http://0x7f.1/  http://0177.0.0.1/  http://127.1/
    http://0x5d.0xb8.0xd8.0x22/  http://093.184.216.34/  http://127.0.0.1./  http://①②⑦.0.0.1/  http://１２７.0.0.1/
    http://localhost/  http://LOCALHOST:8080/v1  http://localhost./  http://no-such-name.invalid/
"""


@pytest.mark.parametrize("url", [*REFUSED.split(), "", "http://[::1", "http://a b/", f"http://{'a' * 300}/", "http://\x00/"])
def test_what_is_not_public_is_refused_in_words(url):
    with pytest.raises(ProviderSetupError) as refused:
        check_public_url(url)
    assert refused.value.hint and len(refused.value.message) < 300


@pytest.mark.parametrize("url", ["https://93.184.216.34/v1", "http://93.184.216.34:8000", "https://[2606:4700::1111]/v1"])
def test_public_addresses_pass(url):
    check_public_url(url)


def test_a_name_with_one_private_address_among_public_ones_is_refused():
    def resolve(_host, _port):
        return ["93.184.216.34", "10.0.0.1"]

    with pytest.raises(ProviderSetupError, match="not on the public internet"):
        public_addresses("mixed.example", 443, resolve=resolve)
    assert public_addresses("fine.example", 443, resolve=lambda *_: ["93.184.216.34"]) == ["93.184.216.34"]


class Rebinding:
    """A name server that says one address when asked first, and another one afterwards."""

    def __init__(self, *answers: str):
        self.answers = list(answers)

    def __call__(self, _host: str, _port: int) -> list[str]:
        return [self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]]


class Handler(BaseHTTPRequestHandler):
    """Redirects, packed answers, endless ones, and a list of models that says who was asked for."""

    def do_GET(self):
        self.owner.asked.append((self.path, self.headers["Host"]))
        if self.path.startswith("/away"):
            self.send_response(307)
            self.send_header("Location", self.owner.target)
            self.send_header("Content-Length", "0")
            return self.end_headers()
        body = b'{"object": "list", "data": [{"id": "m", "object": "model", "created": 0, "owned_by": "x"}]}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        if self.path.startswith("/packed"):
            body = gzip.compress(b" " * (64 << 20))
            self.send_header("Content-Encoding", "gzip")
        if self.path.startswith("/endless"):
            self.end_headers()
            try:
                for _chunk in range(1024):
                    self.wfile.write(b" " * (1 << 20))
            except OSError:
                pass  # the client left, as it should
            return None
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        return self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_args):
        """Say nothing."""


@pytest.fixture
def server():
    running = LocalServer(Handler)
    running.asked, running.target = [], running.url + "/private"
    with running:
        yield running


def client(url: str, transport: httpx2.BaseTransport, **options) -> OpenAI:
    return OpenAI(api_key="none", base_url=url, max_retries=0,
                  http_client=httpx2.Client(transport=transport, **options))


def port_of(server: LocalServer) -> int:
    return server.http.server_address[1]


def test_no_client_of_a_public_page_reaches_this_machine(server):
    with pytest.raises(ProviderSetupError, match="not on the public internet"):
        OpenAI(api_key="none", base_url=server.url, max_retries=0, http_client=public_client()).models.list()
    assert not server.asked


def test_a_name_that_was_public_when_it_was_checked_is_looked_at_again(server):
    rebinding = Rebinding("93.184.216.34", "127.0.0.1")
    assert public_addresses("rebinding.example", 80, resolve=rebinding)
    with pytest.raises(ProviderSetupError, match="not on the public internet"):
        client(f"http://rebinding.example:{port_of(server)}", PublicTransport(resolve=rebinding)).models.list()
    assert not server.asked


def test_the_address_that_was_checked_is_the_one_that_is_called(server):
    # Were the name looked up again for the connection, it would lead nowhere.
    rebinding = Rebinding("127.0.0.1", "240.0.0.1")
    transport = PublicTransport(allowed=lambda _address: True, resolve=rebinding)
    found = client(f"http://name.example:{port_of(server)}/v1", transport).models.list()
    assert [model.id for model in found] == ["m"]
    assert server.asked == [("/v1/models", f"name.example:{port_of(server)}")]


def test_redirects_are_not_followed_and_would_be_checked(server):
    def only_first(address):
        return str(address) == "127.0.0.1"

    server.target = f"http://127.0.0.2:{port_of(server)}/private"
    with pytest.raises(ProviderSetupError, match="not on the public internet"):
        client(f"{server.url}/away", PublicTransport(allowed=only_first), follow_redirects=True).models.list()
    assert not public_client().follow_redirects
    assert all(path.startswith("/away") for path, _host in server.asked)


@pytest.mark.parametrize(("path", "said"), [("packed", "packed answer"), ("endless", "longer than 16 MiB")])
def test_answers_cannot_fill_the_memory(server, path, said):
    transport = PublicTransport(allowed=lambda _address: True)
    with pytest.raises(ProviderSetupError, match=said):
        client(f"{server.url}/{path}", transport).models.list()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl is there to make a certificate")
def test_the_certificate_is_that_of_the_name(tmp_path):
    """Though the connection goes to an address, TLS asks for the name."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-keyout", "key.pem", "-out", "cert.pem", "-days", "2", "-subj", "/CN=name.example", "-addext",
                    "subjectAltName=DNS:name.example"], cwd=tmp_path, check=True, capture_output=True)
    secure = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    secure.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    running = LocalServer(Handler)
    running.asked = []
    running.http.socket = secure.wrap_socket(running.http.socket, server_side=True)
    trusted = ssl.create_default_context(cafile=tmp_path / "cert.pem")
    with running:
        for host, works in (("name.example", True), ("other.example", False)):
            transport = PublicTransport(allowed=lambda _address: True, resolve=lambda *_: ["127.0.0.1"],
                                        verify=trusted)
            with httpx2.Client(transport=transport) as http:
                asked = f"https://{host}:{port_of(running)}/v1/models"
                if works:
                    assert http.get(asked).status_code == 200
                else:
                    with pytest.raises(httpx2.ConnectError, match="certificate"):
                        http.get(asked)
    assert len(running.asked) == 1


def test_many_threads_share_one_client(server):
    """As the run loop does."""
    transport = PublicTransport(allowed=lambda _address: True)
    shared, found = client(f"{server.url}/v1", transport), []
    threads = [threading.Thread(target=lambda: found.append(len(shared.models.list().data))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == [1] * 8
    assert addresses.MOST_BYTES > 1 << 20
