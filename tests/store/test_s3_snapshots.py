"""Snapshots in S3, against a real HTTP server that speaks its protocol."""

from collections.abc import Iterator
from datetime import timedelta

import boto3
import polars as pl
import pytest
from moto.server import ThreadedMotoServer

from continuum.ids import new_id
from continuum.store import parts
from continuum.store.database import Store
from continuum.store.retention import erase
from continuum.store.snapshots import write_snapshots
from tests.builders import NOON, an_interaction


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a bucket that boto3's own credentials and settings lead to."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    for name, value in {
        "AWS_ACCESS_KEY_ID": "tester",
        "AWS_SECRET_ACCESS_KEY": "nothing",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{port}",
    }.items():
        monkeypatch.setenv(name, value)
    # The server's buckets outlive it, within the process.
    name = f"traffic-{new_id()}"
    boto3.client("s3").create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    monkeypatch.setenv("CONTINUUM_SNAPSHOTS", f"s3://{name}/continuum")
    yield name
    server.stop()


def test_parts_are_written_read_compacted_and_removed_in_s3(store: Store, bucket: str) -> None:
    batch = [
        an_interaction(f"Question {n}?", id=f"n{n}", started_at=NOON + timedelta(days=n // 2), tags={"n": str(n)})
        for n in range(6)
    ]
    for one in batch:
        store.interactions.add([one], now=lambda: NOON)
        write_snapshots(store, "support", now=lambda: NOON + timedelta(hours=1))

    report = write_snapshots(store, "support", now=lambda: NOON + timedelta(days=30))

    def keys() -> list[str]:
        return [item["Key"] for item in boto3.client("s3").list_objects_v2(Bucket=bucket)["Contents"]]

    assert report.compacted == 6
    assert keys() == [
        f"continuum/task=support/day=2026-03-0{day + 1}/part-{2 * day + 1}-{2 * day + 2}.parquet" for day in range(3)
    ]
    assert list(store.interactions.scan("support")) == batch
    assert store.interactions.frame("support", ["id"], since=NOON + timedelta(days=1))["id"].to_list() == ["n2", "n3", "n4", "n5"]

    erase(store, ["n2", "n3"])
    assert write_snapshots(store, "support", now=lambda: NOON + timedelta(days=30)).removed == 1
    assert len(keys()) == 2

    boto3.client("s3").delete_object(Bucket=bucket, Key=keys()[0])
    assert list(store.interactions.scan("support")) == [*batch[:2], *batch[4:]]
    assert store.interactions.frame("support", ["id"]).height == 4


def test_polars_itself_never_goes_to_s3(bucket: str) -> None:
    uri = f"s3://{bucket}/one.parquet"
    parts.put(uri, pl.DataFrame({"id": ["a", "b"]}))

    plan = parts.scan([uri])

    # Its own reader leaves a thread for good that reads the environment while others may write it.
    assert "s3://" not in plan.explain()
    assert plan.collect()["id"].to_list() == ["a", "b"]
    with pytest.raises(FileNotFoundError, match=r"two.parquet is not there"):
        parts.scan([f"s3://{bucket}/two.parquet"])
