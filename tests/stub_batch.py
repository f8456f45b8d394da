"""A strict server of OpenAI's Files and Batches routes on loopback, written from the published API.

It takes what the API takes and refuses what the API refuses. A batch moves one state on each time it is looked at, until the
test says otherwise; what becomes of each request, of the result files and of the connection is the test's to choose.
"""

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.stub_endpoint import completion

Body = dict[str, Any]
ENDPOINTS = {
    "/v1/responses", "/v1/chat/completions", "/v1/embeddings", "/v1/completions", "/v1/moderations",
    "/v1/images/generations", "/v1/images/edits", "/v1/videos",
}  # fmt: skip
PURPOSES = {"assistants", "batch", "fine-tune", "vision", "user_data", "evals"}
CREATE_FIELDS = {"input_file_id", "endpoint", "completion_window", "metadata", "output_expires_after"}
CHAT_FIELDS = {"model", "messages", "max_completion_tokens", "max_tokens", "temperature", "response_format", "seed", "logprobs"}
NEXT = {"validating": "in_progress", "in_progress": "finalizing", "finalizing": "completed", "cancelling": "cancelled"}
NOTES = {"batch_expired": "could not be executed before the completion window expired", "batch_cancelled": "was cancelled"}


@dataclass
class StoredFile:
    """A file at the provider."""

    id: str
    name: str
    purpose: str
    content: bytes

    def shown(self) -> Body:
        size = len(self.content)
        return {
            "id": self.id, "object": "file", "bytes": size, "created_at": 1, "filename": self.name, "purpose": self.purpose,
            "status": "processed", "expires_at": None, "status_details": None,
        }  # fmt: skip


@dataclass
class StubBatch:
    """The provider: what it holds, what it was asked, and how it is to behave."""

    answer: Callable[[Body], Body | str | tuple[int, Body]]
    """From a request's body to the completion, the words of one, or a status and an error."""
    base_url: str = ""
    most_requests: int = 50_000
    most_bytes: int = 200_000_000
    patient: bool = False
    """Batches stay as they are until `patient` is taken back."""
    expires_after: int | None = None
    """Of each batch, so many requests are answered, and then it expires."""
    fails_with: Body | None = None
    """The validation error with which batches fail."""
    in_files: Callable[[list[str]], list[str]] | None = None
    """From the lines of a result file to what is served in their place: in another order, broken, doubled."""
    before: Callable[[str], Awaitable[web.Response | None]] | None = None
    """Called with the route before a request is worked on; a response takes its place."""
    after: Callable[[str], Awaitable[web.Response | None]] | None = None
    """Called with the route once a request has been worked on."""
    files: dict[str, StoredFile] = field(default_factory=dict)
    batches: dict[str, Body] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    """The routes, in the order of the requests."""
    judged: list[str] = field(default_factory=list)
    """The custom ids of the requests that were worked on, each as often as it was; what the provider charges for."""
    spoken: list[Body] = field(default_factory=list)
    """The bodies of those requests."""
    live: list[Body] = field(default_factory=list)
    """The bodies of live calls, which get the same answers."""

    def add_file(self, name: str, purpose: str, content: bytes) -> StoredFile:
        file = StoredFile(f"file-{len(self.asked)}-{len(self.files)}", name, purpose, content)
        self.files[file.id] = file
        return file

    def file_bytes(self, lines: list[Body]) -> bytes:
        texts = [json.dumps(line) for line in lines]
        texts = self.in_files(texts) if self.in_files else texts
        return "".join(text + "\n" for text in texts).encode(errors="surrogatepass")

    def move_on(self, batch: Body) -> None:
        """One state further."""
        if batch["status"] == "validating":
            errors = [self.fails_with] if self.fails_with else self.faults(batch)
            batch["status"] = "failed" if errors else "in_progress"
            if errors:
                batch["errors"] = {"object": "list", "data": errors}
        elif batch["status"] == "in_progress" and self.expires_after is not None:
            self.finish(batch, "expired", self.expires_after)
        elif batch["status"] == "finalizing":
            self.finish(batch, "completed", None)
        elif batch["status"] == "cancelling":
            self.finish(batch, "cancelled", self.expires_after or 0)
        else:
            batch["status"] = NEXT.get(batch["status"], batch["status"])

    def faults(self, batch: Body) -> list[Body]:
        """What validation finds in the input file."""
        file = self.files.get(batch["input_file_id"])
        if file is None:
            return [fault("invalid_file", "The input file was not found", None)]
        lines = file.content.decode().splitlines()
        seen: set[str] = set()
        models: set[str] = set()
        found = [] if lines else [fault("empty_file", "The input file is empty", None)]
        if len(lines) > self.most_requests:
            found.append(fault("too_many_tasks", f"The batch has more than {self.most_requests} requests", None))
        for number, text in enumerate(lines, 1):
            try:
                line = json.loads(text)
            except ValueError:
                found.append(fault("invalid_json_line", "This line is not parseable as valid JSON", number))
                continue
            custom_id = line.get("custom_id")
            if not isinstance(custom_id, str) or not 0 < len(custom_id) <= 64:
                found.append(fault("invalid_custom_id", "custom_id must be a string of at most 64 characters", number))
            elif custom_id in seen:
                found.append(fault("duplicate_custom_id", f"The custom_id {custom_id!r} is used twice", number))
            seen.add(custom_id)
            if set(line) != {"custom_id", "method", "url", "body"} or line["method"] != "POST":
                found.append(fault("invalid_request", "A line has custom_id, method POST, url and body", number))
            elif line["url"] != batch["endpoint"]:
                found.append(fault("mismatched_url", "The URL does not match the endpoint of the batch", number))
            models.add(str(line.get("body", {}).get("model")))
        if len(models) > 1:
            found.append(fault("model_mismatch", "All requests of a batch must use the same model", None))
        return found

    def finish(self, batch: Body, status: str, most: int | None) -> None:
        """Work on the requests, as many as are allowed, and write the result files."""
        said: list[Body] = []
        failed: list[Body] = []
        lines = [json.loads(line) for line in self.files[batch["input_file_id"]].content.decode().splitlines()]
        for number, line in enumerate(lines):
            if most is not None and number >= most:
                code = "batch_expired" if status == "expired" else "batch_cancelled"
                failed.append(result(line, None, {"code": code, "message": f"This request {NOTES[code]}."}))
                continue
            code, body = self.reply(line["body"])
            self.judged.append(line["custom_id"])
            self.spoken.append(line["body"])
            response = {"status_code": code, "request_id": f"req-{len(self.judged)}", "body": body}
            (said if code == 200 else failed).append(result(line, response, None))
        if said:
            batch["output_file_id"] = self.add_file("output.jsonl", "batch_output", self.file_bytes(said)).id
        if failed:
            batch["error_file_id"] = self.add_file("error.jsonl", "batch_output", self.file_bytes(failed)).id
        batch["status"] = status
        batch["request_counts"] = {"total": len(lines), "completed": len(said), "failed": len(failed)}

    def reply(self, body: Body) -> tuple[int, Body]:
        unknown = set(body) - CHAT_FIELDS
        if unknown or not isinstance(body.get("messages"), list) or not body["messages"]:
            return 400, refusal(f"Unrecognized request argument: {sorted(unknown)}", "invalid_request_error")
        answer = self.answer(body)
        if isinstance(answer, str):
            answer = completion(answer)
        return answer if isinstance(answer, tuple) else (200, answer | {"model": body["model"]})


def result(line: Body, response: Body | None, error: Body | None) -> Body:
    return {"id": f"batch_req_{line['custom_id'][:8]}", "custom_id": line["custom_id"], "response": response, "error": error}


def fault(code: str, message: str, line: int | None) -> Body:
    return {"code": code, "message": message, "param": None, "line": line}


def refusal(message: str, code: str, param: str | None = None) -> Body:
    return {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}


def refused(message: str, code: str = "invalid_request_error", *, status: int = 400) -> web.Response:
    return web.json_response(refusal(message, code), status=status)


@asynccontextmanager
async def stub_batch(answer: Callable[[Body], Body | str | tuple[int, Body]], **behaviour: Any) -> AsyncIterator[StubBatch]:
    """Serve while the block runs; `answer` gets the body of each request of a batch."""
    stub = StubBatch(answer, **behaviour)
    app = web.Application(middlewares=[guarded(stub)], client_max_size=stub.most_bytes + 2**20)
    for method, route, work in (
        ("POST", "/v1/chat/completions", chat),
        ("POST", "/v1/files", upload),
        ("GET", "/v1/files", list_files),
        ("GET", "/v1/files/{id}", show_file),
        ("GET", "/v1/files/{id}/content", read_content),
        ("DELETE", "/v1/files/{id}", delete_file),
        ("POST", "/v1/batches", create),
        ("GET", "/v1/batches", list_batches),
        ("GET", "/v1/batches/{id}", show_batch),
        ("POST", "/v1/batches/{id}/cancel", cancel),
    ):
        app.router.add_route(method, route, bound(stub, work))
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    stub.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    try:
        yield stub
    finally:
        await runner.cleanup()


def bound(stub: StubBatch, work: Callable[[StubBatch, web.Request], Awaitable[web.Response]]) -> Any:
    async def handle(request: web.Request) -> web.Response:
        return await work(stub, request)

    return handle


def guarded(stub: StubBatch) -> Any:
    @web.middleware
    async def guard(request: web.Request, handler: Any) -> web.StreamResponse:
        resource = request.match_info.route.resource
        route = f"{request.method} {resource.canonical if resource else request.path}"
        stub.asked.append(route)
        if not request.headers.get("Authorization", "").startswith("Bearer "):
            return refused("You did not provide an API key", status=401)
        if stub.before and (early := await stub.before(route)):
            return early
        response = await handler(request)
        return (stub.after and await stub.after(route)) or response

    return guard


async def chat(stub: StubBatch, request: web.Request) -> web.Response:
    stub.live.append(await request.json())
    status, body = stub.reply(stub.live[-1])
    return web.json_response(body, status=status)


async def upload(stub: StubBatch, request: web.Request) -> web.Response:
    boundary = request.content_type.startswith("multipart/form-data") and re.search(
        r'boundary="?([^";]+)', request.headers["Content-Type"]
    )
    if not boundary:
        return refused("A file is uploaded as multipart/form-data")
    form = parts_of(await request.read(), boundary[1].encode())
    name, content = form.get("file", ("", b""))
    purpose = form.get("purpose", ("", b""))[1].decode()
    if not name or purpose not in PURPOSES or set(form) - {"file", "purpose", "expires_after"}:
        return refused("'file' and 'purpose' are required")
    if purpose == "batch" and not name.endswith(".jsonl"):
        return refused("Invalid file format for Batch API. Must be .jsonl")
    if not content or len(content) > stub.most_bytes:
        return refused(f"A file holds 1 to {stub.most_bytes} bytes, found {len(content)}", status=413 if content else 400)
    return web.json_response(stub.add_file(name, purpose, content).shown())


def parts_of(body: bytes, boundary: bytes) -> dict[str, tuple[str, bytes]]:
    """The fields of a form, each with its file name; aiohttp's own reader warns where a chunk ends in a boundary."""
    found = {}
    for part in body.split(b"--" + boundary)[1:-1]:
        head, _, content = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        labels = dict(re.findall(r'(\bname|filename)="([^"]*)"', head.decode()))
        found[labels["name"]] = (labels.get("filename", ""), content.removesuffix(b"\r\n"))
    return found


async def list_files(stub: StubBatch, request: web.Request) -> web.Response:
    purpose = request.query.get("purpose")
    files = [file.shown() for file in stub.files.values() if purpose in (None, file.purpose)]
    return page(files[::-1], request, most=10_000, default=10_000)


async def show_file(stub: StubBatch, request: web.Request) -> web.Response:
    file = stub.files.get(request.match_info["id"])
    return web.json_response(file.shown()) if file else refused("No such File object", status=404)


async def read_content(stub: StubBatch, request: web.Request) -> web.Response:
    file = stub.files.get(request.match_info["id"])
    return web.Response(body=file.content) if file else refused("No such File object", status=404)


async def delete_file(stub: StubBatch, request: web.Request) -> web.Response:
    file = stub.files.pop(request.match_info["id"], None)
    if file is None:
        return refused("No such File object", status=404)
    return web.json_response({"id": file.id, "object": "file", "deleted": True})


async def create(stub: StubBatch, request: web.Request) -> web.Response:
    body = await request.json()
    file = stub.files.get(body.get("input_file_id"))
    metadata = body.get("metadata") or {}
    if unknown := set(body) - CREATE_FIELDS:
        return refused(f"Unknown parameter: {sorted(unknown)}")
    if body.get("completion_window") != "24h" or body.get("endpoint") not in ENDPOINTS:
        return refused("Invalid 'completion_window' or 'endpoint'")
    if file is None or file.purpose != "batch":
        return refused(f"Invalid input_file_id {body.get('input_file_id')!r}")
    pairs = [isinstance(k, str) and len(k) <= 64 and isinstance(v, str) and len(v) <= 512 for k, v in metadata.items()]
    if len(pairs) > 16 or not all(pairs):
        return refused("Metadata is 16 pairs of strings at most")
    batch = {
        "id": f"batch_{len(stub.batches) + 1}", "object": "batch", "endpoint": body["endpoint"], "errors": None,
        "input_file_id": file.id, "completion_window": "24h", "status": "validating", "output_file_id": None,
        "error_file_id": None, "created_at": len(stub.batches) + 1, "request_counts": {"total": 0, "completed": 0, "failed": 0},
        "metadata": body.get("metadata"),
    }  # fmt: skip
    stub.batches[batch["id"]] = batch
    return web.json_response(batch)


async def list_batches(stub: StubBatch, request: web.Request) -> web.Response:
    return page(list(stub.batches.values())[::-1], request, most=100, default=20)


async def show_batch(stub: StubBatch, request: web.Request) -> web.Response:
    batch = stub.batches.get(request.match_info["id"])
    if batch is None:
        return refused("No batch found", status=404)
    if not stub.patient:
        stub.move_on(batch)
    return web.json_response(batch)


async def cancel(stub: StubBatch, request: web.Request) -> web.Response:
    batch = stub.batches.get(request.match_info["id"])
    if batch is None:
        return refused("No batch found", status=404)
    if batch["status"] not in ("validating", "in_progress", "finalizing"):
        return refused(f"Cannot cancel a batch with status {batch['status']!r}", status=409)
    batch["status"] = "cancelling"
    return web.json_response(batch)


def page(rows: list[Body], request: web.Request, *, most: int, default: int) -> web.Response:
    limit = int(request.query.get("limit", default))
    if not 1 <= limit <= most:
        return refused(f"'limit' is 1 to {most}")
    ids = [row["id"] for row in rows]
    after = request.query.get("after")
    if after is not None and after not in ids:
        return refused(f"No such cursor: {after}")
    rest = rows[ids.index(after) + 1 :] if after else rows
    shown = rest[:limit]
    ends = {"first_id": shown[0]["id"], "last_id": shown[-1]["id"]} if shown else {"first_id": None, "last_id": None}
    return web.json_response({"object": "list", "data": shown, "has_more": len(rest) > limit, **ends})
