"""The app behind a reverse proxy, with the configuration that docs/hosting prints: only addresses are changed."""

import shutil
import socket
import subprocess
import time
from contextlib import contextmanager

import pytest
from playwright.sync_api import expect

from mistudio.settings import PROJECT
from tests.browser import app_server, free_port, new_page, settled

PRINTED = PROJECT / "docs" / "hosting"
# Streamlit does not know this address as its own: it accepts the websocket only where the proxy hands on the host.
HOST = "127.0.0.2"
AROUND = """
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {printed}
}}
"""


def nginx(folder, app, outside, path):
    printed = (PRINTED / "nginx.conf").read_text()
    for at_home, here in (("127.0.0.1:8501", app), ("listen 80", f"listen {outside}"),
                          ("location / {", f"location {path}/ {{")):
        assert at_home in printed
        printed = printed.replace(at_home, here)
    (folder / "nginx.conf").write_text(AROUND.format(folder=folder, printed=printed))
    return ["-c", str(folder / "nginx.conf"), "-g", "daemon off;"]


def caddy(folder, app, outside, _path):
    printed = (PRINTED / "Caddyfile").read_text().replace("127.0.0.1:8501", app)
    (folder / "Caddyfile").write_text(printed.replace("mistudio.example", f"http://{outside}"))
    return ["run", "--config", str(folder / "Caddyfile")]


@contextmanager
def proxied(make, folder, app, path):
    program = shutil.which(make.__name__)
    if program is None:
        pytest.skip(f"{make.__name__} is not installed (on Debian: apt-get install {make.__name__})")
    port = free_port(HOST)
    with (folder / "log").open("w+") as log:
        running = subprocess.Popen([program, *make(folder, app, f"{HOST}:{port}", path)], stdout=log,
                                   stderr=subprocess.STDOUT, env={"HOME": str(folder)})
        try:
            until = time.monotonic() + 30
            while time.monotonic() < until and running.poll() is None:
                with socket.socket() as knocking:
                    if knocking.connect_ex((HOST, port)) == 0:
                        break
                time.sleep(0.05)  # nothing signals that a port has opened
            else:
                pytest.fail(f"{program} did not start: {(folder / 'log').read_text()[-2000:]}")
            yield f"http://{HOST}:{port}{path}"
        finally:
            running.terminate()
            running.wait(30)


@pytest.mark.parametrize(("make", "path"), [(nginx, ""), (nginx, "/mistudio"), (caddy, "")],
                         ids=["nginx", "nginx below a path", "caddy"])
def test_the_app_is_used_through_the_proxy(toy, database_url, browser, tmp_path, make, path):
    with app_server(database_url, {"MISTUDIO_ACCESS": "public"}, path=path) as app, proxied(
            make, tmp_path, app.removeprefix("http://"), path) as address, new_page(browser) as page:
        sockets = []
        page.on("websocket", lambda opened: sockets.append(opened.url))
        settled(page.goto(address + "/") and page)
        page.get_by_role("link", name="Browse", exact=True).first.click()
        expect(page.locator("h1")).to_have_text("Browse")
        expect(page.get_by_test_id("stDataFrame").first).to_be_visible()
        assert page.url.startswith(f"{address}/browse?")
        settled(page.goto(f"{address}/browse?f=3") and page)
        expect(page.locator(".ms-row").first).to_be_visible()
        assert sockets and all(url.startswith(address.replace("http", "ws")) for url in sockets)
