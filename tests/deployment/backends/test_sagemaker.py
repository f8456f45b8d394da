"""A SageMaker endpoint's two variants, on moto's server."""

import asyncio
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from continuum.config import load_settings
from continuum.deployment.backends import open_backend
from continuum.deployment.backends.sagemaker import SageMakerBackend
from continuum.deployment.backends.sagemaker_slots import Endpoint, free_slot, model_name
from continuum.errors import ConfigurationError, DeploymentError
from continuum.records import Checkpoint
from tests.deployment.backends.sagemaker_contract import Account, a_base_model, a_model, a_variant, account


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    with account(monkeypatch) as made:
        yield made


def backend_of(aws: Account) -> SageMakerBackend:
    return SageMakerBackend(aws.url, load_settings(), look_every_s=0.01)


def models(aws: Account, *versions: int) -> list[Checkpoint]:
    made = [a_model(version) for version in versions]
    for one in made:
        aws.package(model_name(one))
    return made


async def test_a_checkpoint_runs_in_the_slot_that_nobody_has_of_an_endpoint_that_is_created_where_there_is_none(
    aws: Account,
) -> None:
    (first,) = models(aws, 1)
    backend = backend_of(aws)
    assert not (await backend.health()).up
    assert await backend.models() == ()

    warmed = await backend.warm(first)

    assert warmed.ready, warmed.words
    assert warmed.url == f"{aws.url}/green"
    assert aws.running() == {"blue": f"base-{aws.endpoint}", "green": model_name(first)}
    assert aws.weights() == {"blue": 1.0, "green": 0.0}
    assert await backend.models() == ("support-v1",)
    assert (await backend.health()).up
    model = aws.api.describe_model(ModelName=model_name(first))
    assert model["ExecutionRoleArn"] == "arn:aws:iam::1:role/serving"
    container = model["PrimaryContainer"]
    assert container["ModelDataUrl"] == f"s3://{aws.bucket}/models/continuum/{model_name(first)}/model.tar.gz"
    assert (container["Image"], container["Environment"]) == ("vllm:latest", {"SOME": "thing"})
    assert aws.updates[0]["ExcludeRetainedVariantProperties"] == [{"VariantPropertyType": "DesiredWeight"}]


async def test_warming_at_the_same_time_changes_the_endpoint_in_one_way(aws: Account) -> None:
    there, first = models(aws, 7, 1)
    await backend_of(aws).warm(there)
    aws.updates.clear()
    aws.looks = 5
    at_once = await asyncio.gather(*(backend_of(aws).warm(first) for _ in range(3)))
    assert {warmed.url for warmed in at_once} == {f"{aws.url}/blue"}
    assert len({update["EndpointConfigName"] for update in aws.updates}) == 1
    assert set(aws.running().values()) == {model_name(one) for one in (there, first)}
    aws.updates.clear()
    assert (await backend_of(aws).warm(first)).ready
    assert aws.updates == []


async def test_the_weights_follow_the_split_and_a_champion_before_makes_room_for_the_next(aws: Account) -> None:
    first, second, third = models(aws, 1, 2, 3)
    backend = backend_of(aws)
    await backend.warm(first)
    await backend.traffic("support-v1", 1.0)
    assert aws.weights() == {"blue": 0.0, "green": 1.0}

    assert (await backend.warm(second)).url == f"{aws.url}/blue"
    await backend.traffic("support-v2", 0.25)
    assert aws.weights() == {"blue": 0.25, "green": 0.75}
    with pytest.raises(DeploymentError, match="both slots of the endpoint are in use"):
        await backend.warm(third)

    await backend.traffic("support-v2", 1.0)
    assert (await backend.warm(third)).url == f"{aws.url}/green"
    assert set(await backend.models()) == {"support-v2", "support-v3"}
    assert aws.weights() == {"blue": 1.0, "green": 0.0}
    # What nobody runs any more is gone, and what people put there is not.
    assert aws.packages() == [
        f"models/continuum/{model_name(one)}/model.tar.gz" for one in sorted((second, third), key=model_name)
    ]
    with pytest.raises(Exception, match="Could not find model"):
        aws.api.describe_model(ModelName=model_name(first))
    assert aws.api.describe_model(ModelName=f"base-{aws.endpoint}")


async def test_a_slot_is_free_once_its_checkpoint_is_unloaded(aws: Account) -> None:
    first, second, third = models(aws, 1, 2, 3)
    backend = backend_of(aws)
    await backend.warm(first)
    await backend.warm(second)
    await backend.traffic("support-v2", 0.5)
    await backend.unload("support-v2")
    await backend.unload("support-v2")
    assert await backend.models() == ("support-v1",)
    assert aws.weights() == {"blue": 0.0, "green": 1.0}
    await backend.traffic("support-v2", 0.0)
    with pytest.raises(DeploymentError, match="support-v2 has no slot"):
        await backend.traffic("support-v2", 0.1)
    assert (await backend.warm(third)).url == f"{aws.url}/blue"


async def test_instances_that_do_not_come_up_leave_the_slot_free_and_say_why(aws: Account) -> None:
    first, second = models(aws, 1, 2)
    backend = backend_of(aws)
    await backend.warm(first)
    aws.fails = "The primary container for production variant blue did not pass the ping health check."
    with pytest.raises(DeploymentError, match=r"support-v2 did not come up in blue .*ping health check"):
        await backend.warm(second)
    assert await backend.models() == ("support-v1",)
    aws.fails = None
    assert (await backend.warm(second)).ready


async def test_whoever_stops_waiting_finds_it_ready_later(aws: Account) -> None:
    first, second = models(aws, 1, 2)
    await backend_of(aws).warm(first)
    aws.looks = 1000
    waiting = asyncio.create_task(backend_of(aws).warm(second))
    while aws.pending is None:
        await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await backend_of(aws).models() == ("support-v1",)
    with pytest.raises(DeploymentError, match="in-progress endpoint"):
        await backend_of(aws).traffic("support-v1", 0.5)
    aws.pending["looks"] = 0
    warmed = await backend_of(aws).warm(second)
    assert warmed.url == f"{aws.url}/blue"
    assert len(aws.updates) == 2


async def test_an_endpoint_that_somebody_else_changed_meanwhile_is_not_changed_back(aws: Account) -> None:
    first, second = models(aws, 1, 2)
    await backend_of(aws).warm(first)
    endpoint = Endpoint("eu-central-1", aws.endpoint)
    old = endpoint.look()
    assert old is not None
    slot = free_slot(old)
    await backend_of(aws).warm(second)
    (third,) = models(aws, 3)
    assert not endpoint.fill(old, slot, model_name(third), endpoint.package_place(slot, model_name(third)))
    assert set(aws.running().values()) == {model_name(first), model_name(second)}


async def test_a_container_that_would_not_load_the_package_is_refused(aws: Account) -> None:
    a_base_model(aws, "hub", Environment={"HF_MODEL_ID": "meta/llama"})
    made = [a_variant(aws, "blue", "hub"), a_variant(aws, "green", "hub")]
    aws.api.create_endpoint_config(EndpointConfigName=f"{aws.endpoint}-hub", ProductionVariants=made)
    aws.api.create_endpoint(EndpointName=aws.endpoint, EndpointConfigName=f"{aws.endpoint}-hub")
    with pytest.raises(DeploymentError, match="loads the model that HF_MODEL_ID names"):
        await backend_of(aws).warm(a_model(1))


async def test_an_endpoint_that_cannot_hold_two_checkpoints_is_refused(aws: Account) -> None:
    aws.api.create_endpoint_config(EndpointConfigName=f"{aws.endpoint}-one", ProductionVariants=[a_variant(aws, "blue")])
    aws.api.create_endpoint(EndpointName=aws.endpoint, EndpointConfigName=f"{aws.endpoint}-one")
    with pytest.raises(DeploymentError, match="has 1 production variants, and two are needed"):
        await backend_of(aws).warm(a_model(1))
    nowhere = SageMakerBackend("sagemaker://eu-central-1/nowhere", load_settings(), look_every_s=0.01)
    with pytest.raises(DeploymentError, match="no endpoint configuration of that name to create it from"):
        await nowhere.warm(a_model(1))


async def test_without_aws_or_credentials_it_says_so(aws: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    (first,) = models(aws, 1)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    assert not (await backend_of(aws).warm(first)).ready
    assert not (await backend_of(aws).health()).up
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(DeploymentError, match="no AWS credentials"):
        await backend_of(aws).warm(first)
    with pytest.raises(ConfigurationError, match="write it as sagemaker://REGION/ENDPOINT"):
        open_backend("sagemaker", "http://127.0.0.1/v1", load_settings())


@pytest.mark.slow
async def test_the_package_is_the_merged_model(aws: Account, tmp_path: Path) -> None:
    from tests.deployment.backends.tuned import a_tuned_llama

    checkpoint = a_tuned_llama(tmp_path)
    warmed = await backend_of(aws).warm(checkpoint)
    assert warmed.ready, warmed.words
    key = f"models/continuum/{model_name(checkpoint)}/model.tar.gz"
    content = aws.s3.get_object(Bucket=aws.bucket, Key=key)["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        names = set(archive.getnames())
        config = archive.extractfile("config.json")
        assert config is not None
        assert json.load(config)["architectures"] == ["LlamaForCausalLM"]
    assert {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"} <= names
    assert list((load_settings().home / "merged").iterdir()) == []
