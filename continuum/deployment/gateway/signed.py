"""Asking a variant of a SageMaker endpoint over the gateway's connections: signed on the way out, unwrapped on the way back."""

from continuum.deployment.backends.sagemaker_door import Unframed, request_for, unwrapped
from continuum.deployment.gateway.lines import Incoming, Lines, address_of

SCHEME = "sagemaker://"
MAX_REFUSAL_BYTES = 2**20


class Unwrapped:
    """An answer of a variant as its container gave it; in all that the gateway asks of an answer it is an `Incoming`.

    Attributes:
        status: the container's HTTP status.
        headers: what is known of the container's own.
    """

    def __init__(self, incoming: Incoming, streams: bool) -> None:
        self.status = incoming.status
        self.headers = {
            "content-type": "text/event-stream" if streams else incoming.headers.get("content-type", "application/json")
        }
        self._incoming = incoming
        self._frames = Unframed() if streams else None
        self._read: bytes | None = None

    @classmethod
    async def of(cls, incoming: Incoming, *, streams: bool, within_s: float) -> "Unwrapped":
        """The answer whose head has come; of a refusal the whole is read, for its status stands in its body.

        Raises:
            aiohttp.ClientError, OSError, TimeoutError: it broke off.
        """
        answer = cls(incoming, streams and incoming.status == 200)
        if incoming.status != 200:
            body = b""
            while len(body) < MAX_REFUSAL_BYTES and (piece := await incoming.piece(within_s)):
                body += piece
            answer.status, answer._read = unwrapped(incoming.status, body)
        return answer

    async def piece(self, within_s: float | None = None) -> bytes:
        """The next piece; nothing at the end.

        Raises:
            aiohttp.ClientError, OSError, TimeoutError, DeploymentError: the answer broke off.
        """
        if self._read is not None:
            read, self._read = self._read, b""
            return read
        while piece := await self._incoming.piece(within_s):
            # An event may come in pieces, and some say nothing.
            if self._frames is None:
                return piece
            if said := self._frames.feed(piece):
                return said
        return b""

    def release(self) -> None:
        """Keep the connection for another request where the whole answer was read; cut it where not."""
        self._incoming.release()


async def ask_signed(
    lines: Lines, base_url: str, body: bytes, *, streams: bool, within_s: float, total_s: float | None
) -> Unwrapped:
    """Ask the variant that a `sagemaker://` address names.

    Args:
        lines: the gateway's connections.
        base_url: `sagemaker://REGION/ENDPOINT/VARIANT`.
        body: of a chat completion or a completion.
        streams: whether the answer is to come in pieces.
        within_s: how long AWS may be silent.
        total_s: how long the whole answer may take; None for as long as it likes.

    Raises:
        ConfigurationError, DeploymentError, MissingExtra: it cannot be asked so; nothing was sent.
        aiohttp.ClientError, OSError, TimeoutError: no answer came.
    """
    url, headers, sent = await request_for(base_url, body)
    address = address_of(url)
    signed = [f"{name}: {value}" for name, value in headers.items() if name.lower() not in ("host", "content-length")]
    first = [f"POST {address.path} HTTP/1.1", f"host: {address.authority}", "accept-encoding: identity"]
    head = "\r\n".join([*first, *signed, f"content-length: {len(sent)}"]).encode() + b"\r\n\r\n"
    return await Unwrapped.of(await lines.ask(address, head, sent, within_s, total_s), streams=streams, within_s=within_s)
