"""A provider's batch endpoint, OpenAI's Files and Batches routes: many requests in one file, at half the price, within a day."""

import json
from collections.abc import AsyncIterator, Awaitable, Mapping
from dataclasses import dataclass
from typing import IO, Any, Self, TypeVar

import httpx2
import openai
from openai.types import Batch
from openai.types.chat import ChatCompletion

from continuum.errors import ConfigurationError, JudgeError
from continuum.models.chat import Usage
from continuum.models.endpoint import EndpointModel
from continuum.models.wire import compact, described, is_passing, usage_of

T = TypeVar("T")

BATCH_PRICE = 0.5
"""Of the price of a live call."""
MOST_REQUESTS = 50_000
MOST_BYTES = 190_000_000
"""What one file may hold; the provider's own limit on bytes is 200 MB, whichever of the two it means by that."""
ENDED = frozenset({"completed", "failed", "expired", "cancelled"})
LONGEST_LINE = 8 * 2**20
"""Of a result file; what is longer than an answer can be is read past."""
MOST_TOKENS = 10**9
MOST_PAGES = 500
"""How far a listing is followed, a hundred to a page."""
UPLOAD_TIMEOUT_S = 900.0
MARK = "continuum"
"""The key in a batch's metadata under which our own id of it stands."""


class BatchGone(JudgeError):
    """The provider knows no such batch or file."""


@dataclass(frozen=True)
class ProviderBatch:
    """A batch as the provider describes it."""

    id: str
    status: str
    input_file: str | None
    output_file: str | None
    error_file: str | None
    answered: int
    requests: int
    faults: tuple[tuple[str, str], ...]
    """Why it failed before it began: codes and messages."""

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return self.status in ENDED


@dataclass(frozen=True)
class ResultLine:
    """What became of one request."""

    custom_id: str
    answer: ChatCompletion | None
    """None where there is none, or nothing that could be one."""
    usage: Usage | None
    """What the provider charges for; None where it does not say."""
    status: int | None
    """The HTTP status of the answer; None where the request was not made."""
    complaint: str
    """Why there is no answer, in the provider's words."""

    @property
    def made(self) -> bool:
        """Whether the request reached the model."""
        return self.status == 200


class BatchEndpoint:
    """The batch routes of a model's endpoint; held open over their use, as the model is."""

    def __init__(self, model: EndpointModel) -> None:
        self.model = model

    async def __aenter__(self) -> Self:
        await self.model.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.model.__aexit__(*error)

    async def upload(self, lines: IO[bytes], name: str) -> str:
        """Hand over the file of requests; its id.

        Raises:
            ConfigurationError: the endpoint has no such routes, or refuses the key or the file.
            JudgeError: it did not answer.
        """
        client = self.model.client.with_options(timeout=UPLOAD_TIMEOUT_S)
        return (await self._asked(client.files.create(file=(name, lines), purpose="batch"), "the upload of a batch")).id

    async def create(self, input_file: str, batch_id: str) -> ProviderBatch:
        """Begin a batch. It is asked for once: whether a request that broke has begun one, `find` tells.

        Raises:
            ConfigurationError: the endpoint refuses it.
            JudgeError: it did not answer, and may have begun the batch.
        """
        asked = self.model.client.batches.create(
            input_file_id=input_file, endpoint="/v1/chat/completions", completion_window="24h", metadata={MARK: batch_id}
        )
        return described_batch(await self._asked(asked, "a batch"))

    async def find(self, batch_id: str) -> list[ProviderBatch]:
        """The provider's batches that were begun under our id, the first one first."""
        found: list[ProviderBatch] = []
        page = await self._asked(self._patient().batches.list(limit=100), "the list of batches")
        for _ in range(MOST_PAGES):
            found += [described_batch(batch) for batch in page.data if (batch.metadata or {}).get(MARK) == batch_id]
            if not page.has_next_page():
                return found[::-1]
            page = await self._asked(page.get_next_page(), "the list of batches")
        raise JudgeError(f"{self.model.base_url} lists more than {100 * MOST_PAGES} batches, and ours cannot be looked for")

    async def files_named(self, name: str) -> list[str]:
        """The ids of the uploaded files of this name."""
        page = await self._asked(self._patient().files.list(purpose="batch", limit=1000), "the list of files")
        found: list[str] = []
        for _ in range(MOST_PAGES):
            found += [file.id for file in page.data if file.filename == name]
            if not page.has_next_page():
                break
            page = await self._asked(page.get_next_page(), "the list of files")
        return found

    async def look(self, provider_id: str) -> ProviderBatch:
        """How far a batch is.

        Raises:
            BatchGone: the provider does not know it, or not by this key.
            ConfigurationError: the endpoint refuses the key.
            JudgeError: it did not answer.
        """
        return described_batch(
            await self._asked(self._patient().batches.retrieve(provider_id), f"batch {provider_id}", gone=True)
        )

    async def cancel(self, provider_id: str) -> ProviderBatch:
        """Ask for a batch to be ended; what is answered by then is kept and charged."""
        asked = self._patient().batches.cancel(provider_id)
        return described_batch(await self._asked(asked, f"batch {provider_id}", gone=True))

    async def lines(self, file_id: str) -> AsyncIterator[bytes]:
        """What stands in a result file, line by line; a line that is longer than an answer can be comes empty.

        Raises:
            BatchGone: the provider has no such file.
            JudgeError: it did not send the whole of it.
        """
        try:
            async with self._patient(UPLOAD_TIMEOUT_S).files.with_streaming_response.content(file_id) as response:
                async for line in lines_of(response.iter_bytes()):
                    yield line
        except openai.NotFoundError as error:
            raise BatchGone(f"{self.model.base_url} has no file {file_id}") from error
        except (openai.APIError, httpx2.HTTPError) as error:
            raise JudgeError(f"file {file_id} of {self.model.base_url} could not be read: {described(error)}") from error

    async def delete_file(self, file_id: str) -> bool:
        """Delete a file; False where that may succeed later. A file that is not there, or may not be deleted, is done with."""
        try:
            await self._patient().files.delete(file_id)
        except openai.APIError as error:
            return not is_passing(error)
        return True

    def _patient(self, timeout_s: float | None = None) -> openai.AsyncOpenAI:
        # What only asks may be asked again by the client itself: it costs nothing and begins nothing.
        return self.model.client.with_options(max_retries=2, timeout=timeout_s or self.model.timeout_s)

    async def _asked(self, answer: Awaitable[T], what: str, *, gone: bool = False) -> T:
        try:
            return await answer
        except openai.NotFoundError as error:
            if gone:
                raise BatchGone(f"{self.model.base_url} does not know {what}: {described(error)}") from error
            raise ConfigurationError(
                f"{self.model.base_url} has no batch endpoint: {described(error)}; set judge.mode to live"
            ) from error
        except openai.APIError as error:
            told = f"{self.model.base_url} gave no answer about {what}: {described(error)}"
            if is_passing(error):
                raise JudgeError(told) from error
            raise ConfigurationError(f"{told}; check the key and the address, or set judge.mode to live") from error
        except (ValueError, AttributeError) as error:
            raise JudgeError(f"{self.model.base_url} sent something about {what} that is none of it") from error


def request_line(custom_id: str, body: Mapping[str, Any]) -> bytes:
    """One request as a line of the file."""
    line = {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body}
    return compact(line).encode() + b"\n"


def described_batch(batch: Batch) -> ProviderBatch:
    """The provider's answer, of which the client has checked nothing."""
    if not isinstance(batch, Batch) or not isinstance(batch.id, str) or not isinstance(batch.status, str):
        raise JudgeError("the provider sent something that is no batch")
    counts, faults = batch.request_counts, (batch.errors.data if batch.errors else None) or ()
    return ProviderBatch(
        id=batch.id,
        status=batch.status,
        input_file=batch.input_file_id,
        output_file=batch.output_file_id,
        error_file=batch.error_file_id,
        answered=(counts.completed or 0) + (counts.failed or 0) if counts else 0,
        requests=(counts.total or 0) if counts else 0,
        faults=tuple((fault.code or "", " ".join((fault.message or "").split())[:300]) for fault in faults[:10]),
    )


async def lines_of(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The lines of a stream, without holding more than one; of one that is too long, nothing."""
    kept, too_long = bytearray(), False
    async for chunk in chunks:
        for n, piece in enumerate(chunk.split(b"\n")):
            if n:  # Before each piece but the first a line has ended.
                if too_long or kept.strip():
                    yield b"" if too_long else bytes(kept)
                kept, too_long = bytearray(), False
            kept += piece
            if len(kept) > LONGEST_LINE:
                kept, too_long = bytearray(), True
    if too_long or kept.strip():
        yield b"" if too_long else bytes(kept)


def result_in(line: bytes) -> ResultLine | None:
    """What a line of a result file says; None where it says nothing of any request."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, dict) or not isinstance(row.get("custom_id"), str):
        return None
    if not isinstance(row.get("response"), dict) and not isinstance(row.get("error"), dict):
        return None
    response = row["response"] if isinstance(row.get("response"), dict) else {}
    status = response.get("status_code") if isinstance(response.get("status_code"), int) else None
    body = response["body"] if isinstance(response.get("body"), dict) else {}
    answer = answer_in(body) if status == 200 else None
    return ResultLine(row["custom_id"], answer, usage_in(body), status, complaint_in(row.get("error"), body.get("error")))


def answer_in(body: Mapping[str, Any]) -> ChatCompletion | None:
    """The completion that a body holds; None where it is none."""
    try:
        answer = ChatCompletion.model_construct(**body)
        return answer if isinstance(answer.choices[0].message.content, str) else None
    except (AttributeError, LookupError, TypeError, ValueError):
        return None


def usage_in(body: Mapping[str, Any]) -> Usage | None:
    """The tokens that a body says were used; None where it does not say so in numbers that can be."""
    try:
        usage = usage_of(ChatCompletion.model_construct(usage=body.get("usage")))
    except (AttributeError, TypeError, ValueError):
        return None
    if usage is None:
        return None
    # What the provider had in its cache is not cheaper still in a batch.
    counts = (usage.input_tokens, usage.output_tokens)
    believable = all(isinstance(count, int) and not isinstance(count, bool) and 0 <= count <= MOST_TOKENS for count in counts)
    return Usage(*counts) if believable else None


def complaint_in(*errors: object) -> str:
    """The first error among these in one line: its code, its parameter, its message."""
    for error in errors:
        if isinstance(error, dict):
            parts = (error.get("code"), error.get("param"), error.get("message"))
            return " ".join(" ".join(str(part).split()) for part in parts if part)[:300]
    return ""
