"""A server that speaks OpenAI's chat protocol. By hand: ``python -m tests.servers.openai_server --port 8001``."""

import time

from tests.servers.base import Failure, FakeServer, Raw, serve_by_hand
from tests.servers.batch_api import BatchAPI

MODEL = "gpt-test"


class OpenAIServer(FakeServer):
    """``api_key``: the only key it takes (any, when None). ``formats``: the response formats it does not refuse."""

    def __init__(self, models: list[str] | None = None, port: int = 0, latency: float = 0.0, api_key: str | None = None,
                 formats: tuple[str, ...] = ("json_schema", "json_object")):
        super().__init__(models or [MODEL], port, latency)
        self.api_key, self.formats = api_key, formats
        self.batches = BatchAPI(lambda body: self._complete(body)[:2])

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    def get(self, path: str, headers):
        if self._refused(headers):
            return _error(401, "Incorrect API key provided.", "invalid_api_key")[:2]
        if path != "/v1/models":
            return self.batches.get(path) or _error(404, f"no such path {path}", None)[:2]
        return 200, {"object": "list", "data": [
            {"id": model, "object": "model", "created": 0, "owned_by": "tests"} for model in self.models]}

    def post(self, path: str, headers, body: dict | bytes):
        self.headers.append(headers)
        if self._refused(headers):
            return _error(401, "Incorrect API key provided.", "invalid_api_key")
        if path != "/v1/chat/completions":
            return self.batches.post(path, headers, body) or _error(404, f"no such path {path}", None)
        return self._complete(body)

    def _complete(self, body: dict):
        if body.get("model") not in self.models:
            return _error(404, f"The model {body.get('model')!r} does not exist.", "model_not_found")
        wanted = body.get("response_format")
        if wanted and wanted["type"] not in self.formats:
            return _error(400, f"response_format {wanted['type']} is not supported.", None)
        answer = self.next_answer(body)
        if isinstance(answer, Failure):
            status, error, _none = _error(answer.status, answer.message, answer.code)
            return status, error, answer.headers
        if isinstance(answer, Raw):
            promised = len(answer.body.encode()) + 100 * answer.cut
            return 200, answer.body, {"Content-Type": answer.content_type, "Content-Length": str(promised)}
        prompt = sum(len(message["content"]) for message in body["messages"]) // 4
        return 200, {
            "id": "chatcmpl-test", "object": "chat.completion", "created": int(time.time()), "model": body["model"],
            "choices": [{"index": 0, "finish_reason": answer.finish,
                         "message": {"role": "assistant", "content": answer.text, "refusal": None}}],
            "usage": {"prompt_tokens": prompt, "completion_tokens": max(1, len(answer.text) // 4),
                      "total_tokens": prompt + max(1, len(answer.text) // 4)}}, {}

    def _refused(self, headers) -> bool:
        return self.api_key is not None and headers.get("Authorization") != f"Bearer {self.api_key}"


def _error(status: int, message: str, code: str | None) -> tuple[int, dict, dict]:
    return status, {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}, {}


if __name__ == "__main__":
    serve_by_hand(OpenAIServer, 8001, __doc__)
