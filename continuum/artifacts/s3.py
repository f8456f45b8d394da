"""Artifacts in S3, and in what speaks its protocol, by boto3: credentials, region and endpoint are those of snapshots."""

import base64
import os
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import lru_cache
from hashlib import file_digest
from pathlib import Path
from typing import Any

from continuum.artifacts.listing import MENDING
from continuum.artifacts.storage import MOST_READ, PIECE, Listed, Stored, no_room, written
from continuum.errors import MissingExtra, StoreError

LARGEST_PUT = 5 * 2**30
"""Bytes that one request may carry; a larger file goes in parts."""
NOT_THERE = {"NoSuchKey", "404"}
TAKEN = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}
CHANGED = TAKEN | NOT_THERE
DENIED = {"AccessDenied", "AllAccessDisabled", "AccountProblem", "403"}
UNKNOWN = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "TokenRefreshRequired"}
_opening = threading.Lock()


class S3Storage:
    """Objects in S3.

    Args:
        client: boto3's.
        largest_put: bytes of a file that goes in one request.
    """

    def __init__(self, client: Any, *, largest_put: int = LARGEST_PUT) -> None:
        self._client = client
        self._largest_put = largest_put

    @classmethod
    def open(cls) -> "S3Storage":
        """With a client as the environment asks for it now.

        Raises:
            MissingExtra: boto3 is not installed.
            StoreError: no client can be made of the environment.
        """
        asked = tuple(sorted((name, value) for name, value in os.environ.items() if name.startswith("AWS_")))
        # Making a client takes longer than asking it, and its maker is not safe for threads; a child process makes its own.
        with _opening:
            return cls(_client(os.getpid(), asked))

    def read(self, url: str) -> Stored | None:
        """See `Storage`."""
        try:
            with _asking(url):
                reply = self._client.get_object(**_place(url))
                with closing(reply["Body"]) as body:
                    data = body.read(MOST_READ + 1)
        except _Missing:
            return None
        if len(data) > MOST_READ:
            raise StoreError(f"{url} is larger than any that Continuum writes; {MENDING}")
        return Stored(data, str(reply["ETag"]))

    def fetch(self, url: str, path: Path, size: int) -> str:
        """See `Storage`."""
        with _asking(url):
            reply = self._client.get_object(**_place(url))
            with closing(reply["Body"]) as body:
                return written(body.iter_chunks(PIECE), path, size, url)

    def put_file(self, url: str, path: Path, digest: str) -> None:
        """See `Storage`: what is there is read back, since not every server looks at the hash that it is sent."""
        place = _place(url)
        checksum = base64.b64encode(bytes.fromhex(digest)).decode()
        with _asking(url), path.open("rb") as file:
            if path.stat().st_size <= self._largest_put:
                self._client.put_object(**place, Body=file, ChecksumAlgorithm="SHA256", ChecksumSHA256=checksum)
            else:
                self._client.upload_fileobj(file, place["Bucket"], place["Key"])
            with closing(self._client.get_object(**place)["Body"]) as body:
                found = file_digest(body, "sha256").hexdigest()
        if found != digest:
            raise StoreError(f"{url} does not hold what was sent to it, or {path} was changed meanwhile; do it again")

    def put(self, url: str, data: bytes) -> None:
        """See `Storage`."""
        with _asking(url):
            self._client.put_object(**_place(url), Body=data)

    def create(self, url: str, data: bytes) -> bool:
        """See `Storage`."""
        return self._put_if(url, data, "", IfNoneMatch="*")

    def swap(self, url: str, data: bytes, tag: str) -> bool:
        """See `Storage`."""
        return self._put_if(url, data, tag, IfMatch=tag)

    def delete(self, url: str) -> None:
        """See `Storage`."""
        try:
            with _asking(url):
                self._client.delete_object(**_place(url))
        except _Missing:
            return

    def walk(self, url: str) -> Iterator[Listed]:
        """See `Storage`."""
        place = _place(url.rstrip("/") + "/")
        with _asking(url):
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=place["Bucket"], Prefix=place["Key"]):
                for one in page.get("Contents", ()):
                    yield Listed(f"s3://{place['Bucket']}/{one['Key']}", one["LastModified"])

    def _put_if(self, url: str, data: bytes, tag: str, **condition: str) -> bool:
        from botocore.exceptions import ClientError

        with _asking(url):
            try:
                self._client.put_object(**_place(url), Body=data, **condition)
            except ClientError as error:
                code = _code(error)
                if code in ("NotImplemented", "501"):
                    return self._put_unguarded(url, data, tag)
                # Somebody else's is there, or our own, of which the answer was lost and that the library sent again.
                if code not in (CHANGED if "IfMatch" in condition else TAKEN):
                    raise
        return self._is_ours(url, data)

    def _put_unguarded(self, url: str, data: bytes, tag: str) -> bool:
        # A server that knows no conditions: who looks last before writing wins, and who is overwritten finds out.
        now = self.read(url)
        if (now.tag if now else "") != tag:
            return False
        self.put(url, data)
        return self._is_ours(url, data)

    def _is_ours(self, url: str, data: bytes) -> bool:
        """Whether what we wrote is there: no two writers write the same, and some servers do not keep to a condition."""
        now = self.read(url)
        return now is not None and now.data == data


@lru_cache(maxsize=4)
def _client(process: int, asked: tuple[tuple[str, str], ...]) -> Any:
    try:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError
    except ImportError as error:
        raise MissingExtra("artifacts in S3 need boto3; install it with: pip install boto3") from error
    try:
        # The default session would keep the credentials that it found first, whatever the environment says later.
        return boto3.Session().client("s3", config=Config(connect_timeout=10))
    except (BotoCoreError, ValueError) as error:
        raise StoreError(
            f"no client for S3 can be made of the environment ({type(error).__name__}); correct AWS_PROFILE, AWS_DEFAULT_REGION "
            "or AWS_ENDPOINT_URL_S3"
        ) from error


class _Missing(StoreError):
    """There is no such object."""


@contextmanager
def _asking(url: str) -> Iterator[None]:
    """Say what went wrong, and what to do; what the library says may name keys, and is not repeated."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        ConnectionError,
        FlexibleChecksumError,
        HTTPClientError,
        IncompleteReadError,
        NoCredentialsError,
        PartialCredentialsError,
    )
    from urllib3.exceptions import HTTPError

    bucket = url.split("/")[2]
    try:
        yield
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise StoreError(
            f"no credentials for s3://{bucket} are found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or give "
            "the machine a role"
        ) from error
    except ClientError as error:
        code = _code(error)
        if code in NOT_THERE:
            raise _Missing(f"{url} is missing; {MENDING}") from error
        if code == "NoSuchBucket":
            said = f"the bucket {bucket!r} is not there; create it, or correct CONTINUUM_ARTIFACTS_URL and AWS_ENDPOINT_URL_S3"
        elif code in DENIED:
            said = (
                f"access to {url} is denied; let these credentials do s3:GetObject, s3:PutObject and s3:DeleteObject on what is "
                f"in {bucket!r}, and s3:ListBucket on it"
            )
        elif code in UNKNOWN:
            said = f"the credentials for s3://{bucket} are refused ({code}); renew them, or look at AWS_ENDPOINT_URL_S3"
        else:
            said = f"S3 does not do what is asked of it for {url} ({code}); try again, or look at the server"
        raise StoreError(said) from error
    except FlexibleChecksumError as error:
        raise StoreError(f"{url} does not hold the bytes that the storage's own checksum says; {MENDING}") from error
    except (ConnectionError, HTTPClientError, IncompleteReadError, HTTPError) as error:
        raise StoreError(
            f"no answer for s3://{bucket} ({type(error).__name__}); look at the network, AWS_DEFAULT_REGION and "
            "AWS_ENDPOINT_URL_S3, and try again"
        ) from error
    except (BotoCoreError, Boto3Error) as error:
        raise StoreError(f"{url} cannot be asked for ({type(error).__name__}); correct the settings of AWS here") from error
    except OSError as error:
        raise no_room(Path(error.filename or url), error) from error


def _code(error: Any) -> str:
    """What S3 calls the error."""
    return str(error.response.get("Error", {}).get("Code"))[:60]


def _place(url: str) -> dict[str, str]:
    bucket, _, key = url.removeprefix("s3://").partition("/")
    return {"Bucket": bucket, "Key": key}
