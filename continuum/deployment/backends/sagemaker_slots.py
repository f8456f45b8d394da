"""A SageMaker endpoint as two slots, its production variants, through boto3; every call here waits for AWS.

Which checkpoint is in which slot is told by tags of the endpoint; which model a slot runs, by its endpoint configuration.
"""

import hashlib
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from continuum.deployment.backends.calls import Unreachable
from continuum.errors import DeploymentError, MissingExtra
from continuum.records import Checkpoint

logger = logging.getLogger(__name__)

TAG = "continuum:"
SPARE = f"{TAG}spare"
"""The tag that names the slot kept only to go back to."""
PACKAGES = "/continuum/"
"""Where in the bucket packages are put, beside the models that people put there."""
SERVES = ("InService", "Updating", "SystemUpdating", "RollingBack")
CHANGES = ("Creating", "Updating", "SystemUpdating", "RollingBack")
OTHER_SOURCES = ("HF_MODEL_ID", "OPTION_MODEL_ID", "SM_VLLM_MODEL")
"""Variables by which containers are told to load another model than the package."""
CONFIG_FIELDS = ("DataCaptureConfig", "KmsKeyId", "ExecutionRoleArn", "VpcConfig", "EnableNetworkIsolation", "MetricsConfig")


@dataclass(frozen=True)
class Slot:
    """One production variant."""

    variant: str
    model: str
    """SageMaker's model that it runs."""
    checkpoint: str | None
    """The checkpoint that the slot was given to."""
    weight: float

    @property
    def is_filled(self) -> bool:
        """Whether it runs what it was given to."""
        return self.checkpoint is not None and re.fullmatch(rf"{stem_of(self.checkpoint)}-[0-9a-f]{{12}}", self.model) is not None


@dataclass(frozen=True)
class Found:
    """An endpoint as it is."""

    status: str
    arn: str
    config: str
    slots: tuple[Slot, ...]
    spare: str | None
    failure: str

    def holding(self, checkpoint: str) -> Slot | None:
        """The slot that was given to a checkpoint."""
        return next((slot for slot in self.slots if slot.checkpoint == checkpoint), None)

    def running(self, model: str) -> Slot | None:
        """The slot that runs a model of SageMaker's."""
        return next((slot for slot in self.slots if slot.model == model), None)


def model_name(checkpoint: Checkpoint) -> str:
    """What a checkpoint's model is called in SageMaker: no other checkpoint's is called so."""
    return f"{stem_of(checkpoint.name)}-{hashlib.sha256(checkpoint.id.encode()).hexdigest()[:12]}"


def stem_of(checkpoint: str) -> str:
    """What the names of the models of a checkpoint's name begin with."""
    return re.sub(r"[^A-Za-z0-9]+", "-", checkpoint).strip("-")[:48].strip("-") or "model"


def free_slot(found: Found) -> Slot:
    """The slot that a new checkpoint may have: one nobody has, else the one kept only to go back to.

    Raises:
        DeploymentError: both are in use.
    """
    # Of two that nobody has, the one that fewer are answered by; of two alike, the last.
    free = sorted((slot for slot in found.slots if slot.checkpoint is None), key=lambda slot: slot.weight)
    alike = [slot for slot in free if slot.weight == free[0].weight]
    chosen = alike[-1] if alike else next((slot for slot in found.slots if slot.variant == found.spare), None)
    if chosen is None:
        used = " and ".join(f"{slot.variant} has {slot.checkpoint}" for slot in found.slots)
        raise DeploymentError(f"both slots of the endpoint are in use ({used}); roll one of these deployments back or promote it")
    return chosen


class Endpoint:
    """One endpoint, and the bucket that its models lie in."""

    def __init__(self, region: str, name: str) -> None:
        self.region = region
        self.name = name

    def look(self) -> Found | None:
        """The endpoint as it is now; None where there is none.

        Raises:
            DeploymentError: AWS refuses, or it has not two variants.
            Unreachable: AWS does not answer.
        """
        try:
            with aws("describe the endpoint"):
                described = self._sagemaker.describe_endpoint(EndpointName=self.name)
        except DeploymentError as error:
            if "Could not find endpoint" in str(error):
                return None
            raise
        with aws("describe the endpoint"):
            pages = self._sagemaker.get_paginator("list_tags").paginate(ResourceArn=described["EndpointArn"])
            tags = {tag["Key"]: tag["Value"] for page in pages for tag in page["Tags"]}
            config = self._sagemaker.describe_endpoint_config(EndpointConfigName=described["EndpointConfigName"])
        weights = {one["VariantName"]: one.get("CurrentWeight") or 0.0 for one in described.get("ProductionVariants", ())}
        slots = tuple(
            Slot(name, one.get("ModelName", ""), tags.get(TAG + name), weights.get(name, 0.0))
            for one in config["ProductionVariants"]
            for name in [one["VariantName"]]
        )
        if len(slots) != 2:
            raise DeploymentError(
                f"the endpoint {self.name} has {len(slots)} production variants, and two are needed: one for the champion, one "
                "for the candidate"
            )
        name, failure = described["EndpointConfigName"], described.get("FailureReason") or ""
        return Found(described["EndpointStatus"], described["EndpointArn"], name, slots, tags.get(SPARE) or None, failure)

    def create(self) -> None:
        """Create the endpoint from the endpoint configuration of the same name.

        Raises:
            DeploymentError: there is no such configuration, or AWS refuses.
            Unreachable: AWS does not answer.
        """
        try:
            with aws("create the endpoint"):
                self._sagemaker.create_endpoint(EndpointName=self.name, EndpointConfigName=self.name)
        except DeploymentError as error:
            if "Could not find endpoint" not in str(error):
                raise
            raise DeploymentError(
                f"there is no SageMaker endpoint {self.name} in {self.region}, and no endpoint configuration of that name to "
                "create it from; make one with two production variants that run the base model"
            ) from error

    def package_place(self, slot: Slot, model: str) -> str:
        """Where the package of a model for a slot goes: beside the slot's own.

        Raises:
            DeploymentError: the slot's model is not one that a package can replace, or AWS refuses.
            Unreachable: AWS does not answer.
        """
        container = self._container(slot)
        source = container.get("ModelDataUrl") or (container.get("ModelDataSource") or {}).get("S3DataSource", {}).get("S3Uri")
        if not source:
            raise DeploymentError(
                f"the model {slot.model} of {slot.variant} has no data in S3, so that nothing says where a package may lie; "
                "give the model a ModelDataUrl"
            )
        elsewhere = [name for name in OTHER_SOURCES if not container.get("Environment", {}).get(name, "/opt").startswith("/opt")]
        if elsewhere:
            raise DeploymentError(
                f"the container of {slot.variant} loads the model that {elsewhere[0]} names, not the package; set that variable "
                "to /opt/ml/model"
            )
        root = source.split(PACKAGES)[0] if PACKAGES in source else source.rstrip("/").rpartition("/")[0]
        return f"{root}{PACKAGES}{model}/model.tar.gz"

    def has(self, place: str) -> bool:
        """Whether a package lies at its place, whole."""
        from botocore.exceptions import ClientError

        with aws("look for the package"):
            try:
                self._s3.head_object(**_s3_place(place))
            except ClientError as error:
                if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 404:
                    return False
                raise
        return True

    def send(self, package: Path, place: str) -> None:
        """Put a package at its place; it appears there whole or not at all."""
        with aws("put the package into S3"):
            self._s3.upload_file(str(package), **_s3_place(place))

    def fill(self, found: Found, slot: Slot, model: str, place: str) -> bool:
        """Begin to run a model in a slot, without traffic, as the slot's own is run; the other slot goes on.

        Returns:
            False where the endpoint is no longer as it was found: nothing is changed then.

        Raises:
            DeploymentError: AWS refuses.
            Unreachable: AWS does not answer.
        """
        with aws("run the model"):
            if not self._is_still(found):
                return False
            old = self._sagemaker.describe_model(ModelName=slot.model)
            kept = ("Image", "ImageConfig", "Environment", "Mode", "ContainerHostname")
            container = {name: old["PrimaryContainer"][name] for name in kept if old["PrimaryContainer"].get(name)}
            same = {name: old[name] for name in ("ExecutionRoleArn", "VpcConfig", "EnableNetworkIsolation") if old.get(name)}
            _unless_there(
                self._sagemaker.create_model, ModelName=model, PrimaryContainer=container | {"ModelDataUrl": place}, **same
            )
            config = self._sagemaker.describe_endpoint_config(EndpointConfigName=found.config)
            variants = [
                one | ({"ModelName": model, "InitialVariantWeight": 0.0} if one["VariantName"] == slot.variant else {})
                for one in config["ProductionVariants"]
            ]
            for one in variants:
                if one["VariantName"] != slot.variant:
                    one["InitialVariantWeight"] = 1.0
            name = self._config_name([one["ModelName"] for one in variants])
            _unless_there(
                self._sagemaker.create_endpoint_config,
                EndpointConfigName=name,
                ProductionVariants=variants,
                **{field: config[field] for field in CONFIG_FIELDS if config.get(field)},
            )
            # Looked at again: an update of what is old would take back what somebody else has changed since.
            if not self._is_still(found):
                return False
            self._sagemaker.update_endpoint(
                EndpointName=self.name,
                EndpointConfigName=name,
                RetainAllVariantProperties=True,
                ExcludeRetainedVariantProperties=[{"VariantPropertyType": "DesiredWeight"}],
            )
        return True

    def give(self, found: Found, slot: Slot, checkpoint: str) -> None:
        """Write down that a slot is a checkpoint's."""
        with aws("tag the endpoint"):
            if found.spare == slot.variant:
                self._sagemaker.delete_tags(ResourceArn=found.arn, TagKeys=[SPARE])
            self._tag(found, TAG + slot.variant, checkpoint)

    def release(self, found: Found, slot: Slot) -> None:
        """Write down that a slot is nobody's; what runs in it goes when the slot is filled again."""
        with aws("untag the endpoint"):
            self._sagemaker.delete_tags(ResourceArn=found.arn, TagKeys=[TAG + slot.variant])

    def weigh(self, found: Found, slot: Slot, share: float) -> None:
        """Give a slot a share of the traffic that names no variant, and the other slot the rest.

        A slot that has all of it makes the other one the spare.
        """
        other = next(one for one in found.slots if one.variant != slot.variant)
        weights = [(slot, share), (other, 1.0 - share)]
        with aws("change the weights"):
            if any(abs(one.weight - weight) > 1e-9 for one, weight in weights):
                desired = [{"VariantName": one.variant, "DesiredWeight": weight} for one, weight in weights]
                self._sagemaker.update_endpoint_weights_and_capacities(
                    EndpointName=self.name, DesiredWeightsAndCapacities=desired
                )
            if share == 1.0 and found.spare != other.variant:
                self._tag(found, SPARE, other.variant)
            elif 0.0 < share < 1.0 and found.spare is not None:
                self._sagemaker.delete_tags(ResourceArn=found.arn, TagKeys=[SPARE])

    def tidy(self, before: Found, slot: Slot) -> None:
        """Remove what the slot ran before, where Continuum made it; a failure is for the log."""
        try:
            with aws("remove what ran before"):
                if re.fullmatch(rf"{re.escape(self._stem)}-[0-9a-f]{{12}}", before.config):
                    self._sagemaker.delete_endpoint_config(EndpointConfigName=before.config)
                place = self._container(slot).get("ModelDataUrl") or ""
                if PACKAGES in place:
                    self._sagemaker.delete_model(ModelName=slot.model)
                    self._s3.delete_object(**_s3_place(place))
        except (DeploymentError, Unreachable) as error:
            logger.warning("%s", error)

    def _is_still(self, found: Found) -> bool:
        return self._sagemaker.describe_endpoint(EndpointName=self.name)["EndpointConfigName"] == found.config

    def _container(self, slot: Slot) -> dict[str, Any]:
        with aws("describe the model"):
            described = self._sagemaker.describe_model(ModelName=slot.model)
        container = described.get("PrimaryContainer") or {}
        if not container.get("Image"):
            raise DeploymentError(f"the model {slot.model} of {slot.variant} is not one container with an image of its own")
        return container

    def _tag(self, found: Found, key: str, value: str) -> None:
        self._sagemaker.add_tags(ResourceArn=found.arn, Tags=[{"Key": key, "Value": value}])

    @property
    def _stem(self) -> str:
        return self.name[:50].rstrip("-")

    def _config_name(self, models: list[str]) -> str:
        return f"{self._stem}-{hashlib.sha256(' '.join(models).encode()).hexdigest()[:12]}"

    @cached_property
    def _sagemaker(self) -> Any:
        return _client("sagemaker", self.region)

    @cached_property
    def _s3(self) -> Any:
        return _client("s3", self.region)


@contextmanager
def aws(doing: str) -> Iterator[None]:
    """Say what AWS refused in words.

    Raises:
        DeploymentError: AWS refused, or there are no credentials.
        Unreachable: AWS did not answer.
        MissingExtra: boto3 is not installed.
    """
    try:
        from boto3.exceptions import S3UploadFailedError
        from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, NoCredentialsError, PartialCredentialsError
        from botocore.exceptions import ConnectionError as NotConnected
    except ImportError as error:
        raise MissingExtra("SageMaker endpoints need boto3; install it with: pip install boto3") from error

    try:
        yield
    except ClientError as error:
        told = error.response.get("Error", {})
        raise DeploymentError(f"AWS refuses to {doing}: {told.get('Code')}: {told.get('Message')}") from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise DeploymentError(f"no AWS credentials to {doing}: {error}; set a role, a profile or AWS_ACCESS_KEY_ID") from error
    except (HTTPClientError, NotConnected) as error:
        raise Unreachable(f"AWS did not answer: {error}") from error
    except (BotoCoreError, S3UploadFailedError) as error:
        raise DeploymentError(f"boto3 cannot {doing}: {error}") from error


def _unless_there(create: Any, **fields: Any) -> None:
    """Create what has a name that follows from its content; one that is there already is the same."""
    from botocore.exceptions import ClientError

    try:
        create(**fields)
    except ClientError as error:
        if "already exist" not in str(error):
            raise


def _client(service: str, region: str) -> Any:
    from boto3.session import Session
    from botocore.config import Config

    limits = Config(connect_timeout=5, read_timeout=60, retries={"mode": "standard"})
    # boto3's default session may not be used by several threads.
    return Session().client(service, region_name=region, config=limits)


def _s3_place(uri: str) -> dict[str, str]:
    address = urlsplit(uri)
    return {"Bucket": address.netloc, "Key": address.path.lstrip("/")}
