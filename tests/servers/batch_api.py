"""Files and batches as OpenAI's Batch API has them. A test says when a batch ends, and how."""

import json
from collections.abc import Callable
from email import message_from_bytes


class BatchAPI:
    """``complete`` answers the body of one request with status and body. ``files`` are contents by id."""

    def __init__(self, complete: Callable[[dict], tuple[int, dict]]):
        self.complete, self.files, self.made = complete, {}, {}

    def get(self, path: str) -> tuple[int, dict | str] | None:
        match path.split("/")[2:]:
            case ["batches", name] if name in self.made:
                return 200, self.made[name]
            case ["files", name, "content"] if name in self.files:
                return 200, self.files[name]
        return None

    def post(self, path: str, headers, body: dict | bytes) -> tuple[int, dict, dict] | None:
        if path == "/v1/files":
            parts = message_from_bytes(f"Content-Type: {headers['Content-Type']}\r\n\r\n".encode() + body).get_payload()
            sent = {part.get_param("name", header="content-disposition"): part.get_payload(decode=True)
                    for part in parts}
            name = self._keep(sent["file"].decode())
            return 200, {"id": name, "object": "file", "bytes": len(sent["file"]), "created_at": 0,
                         "filename": "requests.jsonl", "purpose": sent["purpose"].decode(), "status": "processed"}, {}
        if path == "/v1/batches":
            name = f"batch_{len(self.made)}"
            requests = self.files[body["input_file_id"]].count("\n")
            self.made[name] = body | {
                "id": name, "object": "batch", "created_at": 0, "status": "in_progress", "output_file_id": None,
                "error_file_id": None, "request_counts": {"total": requests, "completed": 0, "failed": 0}}
            return 200, self.made[name], {}
        return None

    def end(self, name: str, state: str = "completed", answered: int | None = None) -> None:
        """Answer a batch's requests, or only the first so many; the others expire."""
        batch = self.made[name]
        lines = self.files[batch["input_file_id"]].splitlines()
        found = [answer(line, self.complete) for line in lines[:answered]]
        bad = [each for each in found if each["response"]["status_code"] != 200]
        late = [] if answered is None else [expired(line) for line in lines[answered:]]
        good = [each for each in found if each not in bad]
        counts = {"total": len(lines), "completed": len(good), "failed": len(bad) + len(late)}
        batch |= {"status": state, "request_counts": counts, "output_file_id": self._keep_lines(good),
                  "error_file_id": self._keep_lines(bad + late)}
        self.made[name] = batch

    def _keep_lines(self, lines: list[dict]) -> str | None:
        return self._keep("".join(f"{json.dumps(line)}\n" for line in lines)) if lines else None

    def _keep(self, content: str) -> str:
        name = f"file-{len(self.files)}"
        self.files[name] = content
        return name


def answer(line: str, complete: Callable[[dict], tuple[int, dict]]) -> dict:
    """The response to one request line."""
    request = json.loads(line)
    status, body = complete(request["body"])
    return {"id": "batch_req_test", "custom_id": request["custom_id"], "error": None,
            "response": {"status_code": status, "request_id": "test", "body": body}}


def expired(line: str) -> dict:
    """What comes for a request whose batch ran out of time."""
    return {"id": "batch_req_test", "custom_id": json.loads(line)["custom_id"], "response": None,
            "error": {"code": "batch_expired", "message": "This request could not be executed in time."}}
