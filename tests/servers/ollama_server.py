"""A server that speaks Ollama's protocol. By hand: ``python -m tests.servers.ollama_server --port 11434``."""

from tests.servers.base import Failure, FakeServer, serve_by_hand

MODEL = "llama-test:latest"
NOW = "2026-01-01T00:00:00Z"


class OllamaServer(FakeServer):
    def __init__(self, models: list[str] | None = None, port: int = 0, latency: float = 0.0):
        super().__init__(models or [MODEL], port, latency)

    def get(self, path: str, headers):
        if path == "":
            return 200, "Ollama is running"
        if path == "/api/version":
            return 200, {"version": "0.0.0-test"}
        if path in ("/api/tags", "/api/ps"):
            return 200, {"models": [
                {"name": model, "model": model, "modified_at": NOW, "size": 1, "digest": "0" * 64,
                 "details": {"format": "gguf", "family": "test", "parameter_size": "1B", "quantization_level": "Q4_0"}}
                for model in self.models]}
        return 404, {"error": f"no such path {path}"}

    def post(self, path: str, headers, body: dict):
        if path != "/api/chat":
            return 404, {"error": f"no such path {path}"}, {}
        if not {body.get("model"), f"{body.get('model')}:latest"} & set(self.models):
            return 404, {"error": f"model '{body.get('model')}' not found"}, {}
        answer = self.next_answer(body)
        if isinstance(answer, Failure):
            return answer.status, {"error": answer.message}, answer.headers
        prompt = sum(len(message["content"]) for message in body["messages"]) // 4
        return 200, {"model": body["model"], "created_at": NOW, "done": True, "done_reason": answer.finish,
                     "message": {"role": "assistant", "content": answer.text},
                     "total_duration": 1, "load_duration": 1, "prompt_eval_count": prompt,
                     "eval_count": max(1, len(answer.text) // 4)}, {}


if __name__ == "__main__":
    serve_by_hand(OllamaServer, 11434, __doc__)
