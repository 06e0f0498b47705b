"""A small OpenID provider: discovery, log in by choosing who one is, codes with PKCE, signed tokens, log out.

By hand: ``python -m tests.servers.oidc``, with the secrets that ``secrets_toml`` writes.
"""

import hashlib
import json
import secrets
import threading
import time
from base64 import b64decode, urlsafe_b64encode
from html import escape
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.servers.base import LocalServer

CLIENT_ID, CLIENT_SECRET, COOKIE_SECRET = "mistudio-tests", "client-secret-of-tests", "cookie-secret-of-the-tests"
SECONDS = 600


class OIDCServer(LocalServer):
    """``people`` are the claims of everyone who may log in, by e-mail; ``refused`` holds why requests were refused."""

    def __init__(self, people: dict[str, dict], port: int = 0):
        self.people, self.refused = people, []
        self.key = RSAKey.generate_key(2048, {"kid": "tests", "use": "sig", "alg": "RS256"})
        self.codes: dict[str, dict] = {}
        self.tokens: dict[str, str] = {}
        super().__init__(_Handler, port)

    def secrets_toml(self, app_url: str) -> str:
        """What Streamlit's secrets need to say for an app at this address."""
        return (f'[auth]\nredirect_uri = "{app_url}/oauth2callback"\ncookie_secret = "{COOKIE_SECRET}"\n'
                f'client_id = "{CLIENT_ID}"\nclient_secret = "{CLIENT_SECRET}"\n'
                f'server_metadata_url = "{self.url}/.well-known/openid-configuration"\n')

    def discovery(self) -> dict:
        return {"issuer": self.url, "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token", "userinfo_endpoint": f"{self.url}/userinfo",
                "jwks_uri": f"{self.url}/jwks", "end_session_endpoint": f"{self.url}/logout",
                "response_types_supported": ["code"], "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"], "code_challenge_methods_supported": ["S256"],
                "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"]}

    def choice(self, asked: dict[str, str]) -> str:
        """The page on which one says who one is."""
        links = "".join(f'<p><a href="/chosen?{escape(urlencode(asked | {"login_hint": email}))}">{escape(email)}</a>'
                        for email in self.people)
        return f"<!doctype html><title>Who are you?</title><h1>Who are you?</h1>{links}"

    def code_for(self, asked: dict[str, str]) -> str:
        """Where the browser goes with a code, once somebody has said who they are."""
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"

    def exchange(self, form: dict[str, str], client: tuple[str, str]) -> dict:
        """Tokens for a code, which works once. Raises: ValueError, with what is wrong."""
        asked = self.codes.pop(form.get("code", ""), None)
        if client != (CLIENT_ID, CLIENT_SECRET):
            raise ValueError("invalid_client")
        challenge = urlsafe_b64encode(hashlib.sha256(form.get("code_verifier", "").encode()).digest()).rstrip(b"=")
        if asked is None or asked["redirect_uri"] != form["redirect_uri"] or asked[
                "code_challenge"] != challenge.decode():
            raise ValueError("invalid_grant")
        email, token, at = asked["login_hint"], secrets.token_urlsafe(16), int(time.time())
        self.tokens[token] = email
        claims = {"iss": self.url, "aud": CLIENT_ID, "sub": hashlib.sha256(email.encode()).hexdigest(), "iat": at,
                  "exp": at + SECONDS, "nonce": asked["nonce"], "email": email, "email_verified": True}
        signed = jwt.encode({"alg": "RS256", "kid": "tests"}, claims | self.people[email], self.key)
        return {"access_token": token, "token_type": "Bearer", "expires_in": SECONDS, "id_token": signed}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: OIDCServer

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        asked = {name: values[0] for name, values in parse_qs(url.query).items()}
        if url.path == "/.well-known/openid-configuration":
            self._json(200, self.owner.discovery())
        elif url.path == "/jwks":
            self._json(200, {"keys": [self.owner.key.as_dict(private=False)]})
        elif url.path == "/authorize" and asked.get("client_id") == CLIENT_ID:
            self._send(200, self.owner.choice(asked).encode(), {"Content-Type": "text/html"})
        elif url.path == "/chosen" and asked.get("login_hint") in self.owner.people:
            self._send(302, b"", {"Location": self.owner.code_for(asked)})
        elif url.path == "/userinfo":
            email = self.owner.tokens.get(self.headers.get("Authorization", "").removeprefix("Bearer "))
            self._json(200, {"email": email} | self.owner.people[email]) if email else self._refuse("invalid_token")
        elif url.path == "/logout":
            self._send(302, b"", {"Location": asked["post_logout_redirect_uri"]})
        else:
            self._refuse(f"no such path {url.path}")

    def do_POST(self) -> None:
        text = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        form = {name: values[0] for name, values in parse_qs(text).items()}
        basic = self.headers.get("Authorization", "")
        client = (form.get("client_id", ""), form.get("client_secret", ""))
        if basic.startswith("Basic "):
            client = tuple(map(unquote, b64decode(basic[6:]).decode().split(":", 1)))
        try:
            self._json(200, self.owner.exchange(form, client))
        except ValueError as error:
            self._refuse(str(error))

    def _refuse(self, why: str) -> None:
        self.owner.refused.append(why)
        self._json(400, {"error": why})

    def _json(self, status: int, body: dict) -> None:
        self._send(status, json.dumps(body).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_args) -> None:
        """A test's output is not the place for an access log."""


if __name__ == "__main__":
    with OIDCServer({"anna@lab.org": {}, "ben@lab.org": {}, "eve@elsewhere.org": {}}, port=9000) as running:
        print(running.secrets_toml("http://localhost:8501"), flush=True)
        threading.Event().wait()
