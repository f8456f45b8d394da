"""A bucket at a real HTTP server that speaks S3's protocol, and artifacts that go there."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from continuum.ids import new_id

REGION = "eu-central-1"


@pytest.fixture(scope="session")
def s3_address() -> Iterator[str]:
    """Where the server answers."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    yield f"http://127.0.0.1:{port}"
    server.stop()


@pytest.fixture
def bucket(s3_address: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of an empty bucket, in a folder of which artifacts go from now on."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "tester",
        "AWS_SECRET_ACCESS_KEY": "not-to-be-shown",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ENDPOINT_URL_S3": s3_address,
        "AWS_MAX_ATTEMPTS": "1",
    }.items():
        monkeypatch.setenv(name, value)
    name = f"artifacts-{new_id()}"
    s3().create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    monkeypatch.setenv("CONTINUUM_ARTIFACTS_URL", f"s3://{name}/continuum")
    return name


def s3() -> Any:
    """A client of the server's, as a person would have one."""
    return boto3.client("s3")


def keys(bucket: str) -> list[str]:
    """What a bucket holds."""
    return [item["Key"] for item in s3().list_objects_v2(Bucket=bucket).get("Contents", [])]
