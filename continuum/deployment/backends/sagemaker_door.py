"""How a model behind a SageMaker endpoint is asked: signed requests to one variant of it, and answers out of AWS' wrapping.

The gateway asks a variant by name, so that its own split holds; an endpoint's weights are for those who ask it themselves.
"""

import asyncio
import json
import re
from dataclasses import dataclass
from typing import Any

from continuum.errors import ConfigurationError, DeploymentError, MissingExtra

ADDRESS = re.compile(r"sagemaker://([a-z0-9-]{1,40})/([A-Za-z0-9-]{1,63})(?:/([A-Za-z0-9-]{1,63}))?")
MODEL_ERROR = 424
"""The status that SageMaker gives to whatever its container refused."""


@dataclass(frozen=True)
class Place:
    """What a `sagemaker://REGION/ENDPOINT[/VARIANT]` address names."""

    region: str
    endpoint: str
    variant: str | None


def place_of(url: str) -> Place:
    """The place that an address names.

    Raises:
        ConfigurationError: it is no such address.
    """
    found = ADDRESS.fullmatch(url)
    if found is None:
        raise ConfigurationError(f"{url!r} is no address of a SageMaker endpoint; write it as sagemaker://REGION/ENDPOINT")
    return Place(*found.groups())


@dataclass(frozen=True)
class Signer:
    """Who signs requests of a region, and where they go."""

    url: str
    credentials: Any


_signers: dict[str, Signer] = {}


async def request_for(url: str, body: bytes, variant: str | None = None) -> tuple[str, dict[str, str], bytes]:
    """The HTTP request that asks a variant for a completion: its address, all of its headers, its body.

    It is a POST and holds for five minutes. A body that asks for a stream is answered in AWS' event stream, which `Unframed`
    takes apart. The model's name is left out: a container knows its model by another one.

    Args:
        url: `sagemaker://REGION/ENDPOINT/VARIANT`.
        body: of a chat completion or a completion, in OpenAI's form.
        variant: whom to ask, where the address names nobody.

    Raises:
        ConfigurationError: the address is none.
        DeploymentError: no variant is named, no credentials are found, or the body is of another kind.
        MissingExtra: boto3 is not installed.
    """
    place = place_of(url)
    asked = variant or place.variant
    if asked is None:
        # Any variant might answer then: one that still holds the model before this one, too.
        raise DeploymentError(f"{url} names no variant; the checkpoint is not loaded into a slot of the endpoint yet")
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise DeploymentError("the request is no JSON object") from error
    if not isinstance(content, dict) or not ("messages" in content or "prompt" in content):
        raise DeploymentError("a SageMaker endpoint is asked for chat completions and completions only")
    content.pop("model", None)
    signer = _signers.get(place.region)
    if signer is None:
        signer = _signers[place.region] = await asyncio.to_thread(_signer, place.region)
    credentials = signer.credentials
    if hasattr(credentials, "refresh_needed") and credentials.refresh_needed():
        # Asks AWS for new ones, which may take a while.
        credentials = await asyncio.to_thread(credentials.get_frozen_credentials)
    else:
        credentials = credentials.get_frozen_credentials()
    streams = content.get("stream") is True
    route = "invocations-response-stream" if streams else "invocations"
    headers = {"Content-Type": "application/json", "X-Amzn-SageMaker-Target-Variant": asked}
    if not streams:
        headers["Accept"] = "application/json"
    return _signed(f"{signer.url}/endpoints/{place.endpoint}/{route}", headers, json.dumps(content).encode(), credentials, place)


def _signed(url: str, headers: dict[str, str], body: bytes, credentials: Any, place: Place) -> tuple[str, dict[str, str], bytes]:
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest

    request = AWSRequest("POST", url, headers=headers, data=body)
    SigV4Auth(credentials, "sagemaker", place.region).add_auth(request)
    return url, dict(request.headers.items()), body


def _signer(region: str) -> Signer:
    try:
        from botocore.session import Session
    except ImportError as error:
        raise MissingExtra("SageMaker endpoints need boto3; install it with: pip install boto3") from error
    session = Session()
    credentials = session.get_credentials()
    if credentials is None:
        raise DeploymentError("no AWS credentials are found; give the gateway a role, a profile or AWS_ACCESS_KEY_ID")
    client = session.create_client("sagemaker-runtime", region_name=region)
    return Signer(client.meta.endpoint_url.rstrip("/"), credentials)


def unwrapped(status: int, body: bytes) -> tuple[int, bytes]:
    """What the container answered, where SageMaker tells of it as an error of its own; anything else as it is.

    A container's refusal of a request (400 to 499) is the caller's business; its failures are those of the server.
    """
    if status != MODEL_ERROR:
        return status, body
    try:
        told = json.loads(body)
        original, message = int(told["OriginalStatusCode"]), str(told.get("OriginalMessage", ""))
    except (ValueError, KeyError, TypeError, RecursionError):
        return 502, body
    return (original if 400 <= original < 600 else 502), message.encode()


class Unframed:
    """Takes the bytes of a streamed answer out of AWS' event stream, as they come."""

    def __init__(self) -> None:
        from botocore.eventstream import EventStreamBuffer

        self._buffer = EventStreamBuffer()

    def feed(self, piece: bytes) -> bytes:
        """What the container said in the events that this piece completes; it may be nothing yet.

        Raises:
            DeploymentError: the container broke off, or this is no event stream.
        """
        from botocore.eventstream import ParserError

        self._buffer.add_data(piece)
        said = bytearray()
        try:
            for event in self._buffer:
                kind = event.headers.get(":event-type") or event.headers.get(":exception-type")
                if event.headers.get(":message-type") != "event":
                    raise DeploymentError(f"the answer broke off: {kind}: {event.payload[:300].decode('utf-8', 'replace')}")
                if kind == "PayloadPart":
                    said += event.payload
        except ParserError as error:
            raise DeploymentError("the answer is no event stream of AWS") from error
        return bytes(said)
