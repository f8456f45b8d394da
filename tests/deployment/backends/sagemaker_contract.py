"""SageMaker: moto's server for the endpoints, with what moto lacks, and a runtime that checks what it is asked.

Routes, headers, statuses and refusals are those of boto3's own service models, botocore 1.44.5: `data/sagemaker/2017-07-24` and
`data/sagemaker-runtime/2017-05-13`, the shapes named below.
"""

import binascii
import json
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest
from aiohttp import web
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from moto.core.responses import ActionResult
from moto.sagemaker.exceptions import AWSValidationException
from moto.sagemaker.models import FakeEndpoint, SageMakerModelBackend
from moto.sagemaker.responses import SageMakerResponse
from moto.server import ThreadedMotoServer

from continuum.ids import new_id
from continuum.records import Checkpoint
from tests.deployment.backends.contract import ContractServer, Refused

REGION = "eu-central-1"
KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI"


@dataclass
class Account:
    """An AWS account with one endpoint configuration of two variants, `blue` and `green`, that run a base model.

    Attributes:
        looks: how often an endpoint that is updated is seen doing so.
        fails: why the next update ends where it began.
    """

    bucket: str
    endpoint: str
    looks: int = 1
    fails: str | None = None
    updates: list[dict[str, Any]] = field(default_factory=list)
    pending: dict[str, Any] | None = None

    @property
    def url(self) -> str:
        """How a policy names the endpoint."""
        return f"sagemaker://{REGION}/{self.endpoint}"

    @property
    def api(self) -> Any:
        """boto3's own client."""
        return boto3.client("sagemaker", region_name=REGION)

    @property
    def s3(self) -> Any:
        """boto3's own client."""
        return boto3.client("s3", region_name=REGION)

    def package(self, model: str, content: bytes = b"package") -> None:
        """Put a package where Continuum would have put one."""
        self.s3.put_object(Bucket=self.bucket, Key=f"models/continuum/{model}/model.tar.gz", Body=content)

    def packages(self) -> list[str]:
        """What lies in the bucket."""
        return [one["Key"] for one in self.s3.list_objects_v2(Bucket=self.bucket).get("Contents", ())]

    def weights(self) -> dict[str, float]:
        """The variants' weights now."""
        found = self.api.describe_endpoint(EndpointName=self.endpoint)["ProductionVariants"]
        return {one["VariantName"]: one.get("CurrentWeight", 0.0) for one in found}

    def running(self) -> dict[str, str]:
        """The variants' models now."""
        name = self.api.describe_endpoint(EndpointName=self.endpoint)["EndpointConfigName"]
        variants = self.api.describe_endpoint_config(EndpointConfigName=name)["ProductionVariants"]
        return {one["VariantName"]: one["ModelName"] for one in variants}


@contextmanager
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    """An account of its own on moto's server, which boto3's credentials and settings lead to."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    environment = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    # The server's state outlives it, within the process.
    made = Account(bucket=f"models-{new_id()}", endpoint=f"support-{new_id()}")
    with monkeypatch.context() as patched:
        _complete_moto(patched, made)
        made.s3.create_bucket(Bucket=made.bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        a_base_model(made, "base")
        variants = [a_variant(made, "blue"), a_variant(made, "green")]
        made.api.create_endpoint_config(EndpointConfigName=made.endpoint, ProductionVariants=variants)
        yield made
    server.stop()


def a_base_model(made: Account, name: str, **container: Any) -> str:
    """A model that people put there."""
    fields = {"Image": "vllm:latest", "ModelDataUrl": f"s3://{made.bucket}/models/base.tar.gz", "Environment": {"SOME": "thing"}}
    model = f"{name}-{made.endpoint}"
    made.api.create_model(ModelName=model, ExecutionRoleArn="arn:aws:iam::1:role/serving", PrimaryContainer=fields | container)
    return model


def a_variant(made: Account, name: str, model: str = "base") -> dict[str, Any]:
    """One of the endpoint's variants; moto knows older kinds of instances only."""
    fields = {"InitialInstanceCount": 1, "InstanceType": "ml.g4dn.xlarge", "InitialVariantWeight": 1.0}
    return {"VariantName": name, "ModelName": f"{model}-{made.endpoint}", **fields}


def _complete_moto(patched: pytest.MonkeyPatch, made: Account) -> None:
    """What moto 5.2.5 lacks: UpdateEndpoint, names that are taken once, tags that replace one another."""
    describe, create_model = SageMakerModelBackend.describe_endpoint, SageMakerModelBackend.create_model
    weigh, add_tags = SageMakerModelBackend.update_endpoint_weights_and_capacities, SageMakerModelBackend.add_tags

    def update_endpoint(self: SageMakerResponse) -> ActionResult:
        """`UpdateEndpointInput`; an endpoint that changes is not changed again."""
        asked = {
            name: self._get_param(name)
            for name in ("EndpointName", "EndpointConfigName", "RetainAllVariantProperties", "ExcludeRetainedVariantProperties")
        }
        backend = self.sagemaker_backend
        config = backend.describe_endpoint_config(asked["EndpointConfigName"])
        endpoint: FakeEndpoint = backend.endpoints[asked["EndpointName"]]
        if endpoint.endpoint_status != "InService":
            raise AWSValidationException(f"Cannot update in-progress endpoint '{endpoint.arn}'.")
        made.updates.append(asked)
        made.pending = {**asked, "variants": config["ProductionVariants"], "looks": made.looks}
        endpoint.endpoint_status = "Updating"
        return ActionResult({"EndpointArn": endpoint.arn})

    def describe_endpoint(self: SageMakerModelBackend, endpoint_name: str) -> Any:
        """`EndpointStatus`: Updating until it is done; one that fails is InService as before, with a reason."""
        pending, endpoint = made.pending, self.endpoints.get(endpoint_name)
        if pending is not None and endpoint is not None:
            pending["looks"] -= 1
            if pending["looks"] < 0:
                made.pending = None
                endpoint.endpoint_status, endpoint.failure_reason = "InService", made.fails
                if made.fails is None:
                    endpoint.endpoint_config_name = pending["EndpointConfigName"]
                    endpoint.production_variants = endpoint._process_production_variants(pending["variants"])
        return describe(self, endpoint_name)

    def refuse_known(self: SageMakerModelBackend, model_name: str, **fields: Any) -> Any:
        if model_name in self._models:
            raise AWSValidationException(f"Cannot create already existing model '{model_name}'.")
        return create_model(self, model_name, **fields)

    def refuse_changing(self: SageMakerModelBackend, endpoint_name: str, **fields: Any) -> Any:
        if self.endpoints[endpoint_name].endpoint_status != "InService":
            raise AWSValidationException(f"Cannot update in-progress endpoint '{endpoint_name}'.")
        for one in fields["desired_weights_and_capacities"]:
            assert one["DesiredWeight"] >= 0
        return weigh(self, endpoint_name, **fields)

    def replace_tags(self: SageMakerModelBackend, arn: str, tags: list[dict[str, str]]) -> Any:
        self.delete_tags(arn, [tag["Key"] for tag in tags])
        return add_tags(self, arn, tags)

    patched.setattr(SageMakerResponse, "update_endpoint", update_endpoint, raising=False)
    patched.setattr(SageMakerModelBackend, "describe_endpoint", describe_endpoint)
    patched.setattr(SageMakerModelBackend, "create_model", refuse_known)
    patched.setattr(SageMakerModelBackend, "update_endpoint_weights_and_capacities", refuse_changing)
    patched.setattr(SageMakerModelBackend, "add_tags", replace_tags)


class Runtime(ContractServer):
    """The runtime of one region: it takes what is signed as it should be, and its container answers in OpenAI's form.

    Attributes:
        refuses: the container's status and words instead of an answer.
        breaks: the exception that ends a stream after its first piece.
    """

    def __init__(self, region: str) -> None:
        super().__init__()
        self.region = region
        self.token: str | None = None
        self.refuses: tuple[int, str] | None = None
        self.breaks: str | None = None

    def routes(self) -> list[web.RouteDef]:
        """`InvokeEndpoint`, `InvokeEndpointWithResponseStream`."""
        return [
            web.post("/endpoints/{name}/invocations", self._invoke),
            web.post("/endpoints/{name}/invocations-response-stream", self._stream),
        ]

    async def _invoke(self, request: web.Request) -> web.Response:
        """`InvokeEndpointInput`: `TargetVariant` is the header X-Amzn-SageMaker-Target-Variant."""
        body = await self._taken(request)
        assert request.headers["accept"] == "application/json"
        return web.json_response(
            {"choices": [{"message": {"content": said(request, body)}}]},
            headers={"x-Amzn-Invoked-Production-Variant": request.headers["x-amzn-sagemaker-target-variant"]},
        )

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        """`ResponseStream`: events of `PayloadPart`, or an exception `ModelStreamError`."""
        body = await self._taken(request)
        response = web.StreamResponse(
            headers={"content-type": "application/vnd.amazon.eventstream", "x-amzn-sagemaker-content-type": "text/event-stream"}
        )
        await response.prepare(request)
        pieces = [f"data: {json.dumps({'delta': word})}\n\n" for word in said(request, body).split()] + ["data: [DONE]\n\n"]
        framed = b"".join(frame({":message-type": "event", ":event-type": "PayloadPart"}, piece.encode()) for piece in pieces)
        if self.breaks:
            first = frame({":message-type": "event", ":event-type": "PayloadPart"}, pieces[0].encode())
            framed = first + frame({":message-type": "exception", ":exception-type": self.breaks}, b'{"Message":"lost"}')
        # Cut where it falls, as TCP does.
        for start in range(0, len(framed), 37):
            await response.write(framed[start : start + 37])
        return response

    async def _taken(self, request: web.Request) -> dict[str, Any]:
        raw = await request.read()
        self._require_signature(request, raw)
        if request.headers["content-type"] != "application/json":
            raise refusal(400, "ValidationError", "the container takes JSON")
        if self.refuses is not None:
            status, words = self.refuses
            # `ModelError`: httpStatusCode 424.
            told = {"OriginalStatusCode": status, "OriginalMessage": words, "Message": f"Received client error ({status})"}
            raise Refused(424, told, {"x-amzn-errortype": "ModelError"})
        body = json.loads(raw)
        if "model" in body:
            raise refusal(424, "ModelError", "The model does not exist.")
        return body

    def _require_signature(self, request: web.Request, raw: bytes) -> None:
        given = request.headers.get("authorization", "")
        if not given.startswith("AWS4-HMAC-SHA256 "):
            raise refusal(403, "MissingAuthenticationTokenException", "Missing Authentication Token")
        parts = dict(part.split("=", 1) for part in given.removeprefix("AWS4-HMAC-SHA256 ").split(", "))
        signed = parts["SignedHeaders"].split(";")
        assert {"content-type", "host", "x-amz-date", "x-amzn-sagemaker-target-variant"} <= set(signed)
        if request.headers.get("x-amz-security-token") != self.token:
            raise refusal(403, "UnrecognizedClientException", "The security token included in the request is invalid.")
        url = f"http://{request.headers['host']}{request.path}"
        headers = {name: request.headers[name] for name in signed if name != "host"}
        again = AWSRequest("POST", url, headers=headers, data=raw)
        again.context["timestamp"] = request.headers["x-amz-date"]
        signer = SigV4Auth(Credentials(KEY, SECRET), "sagemaker", self.region)
        wanted = signer.signature(signer.string_to_sign(again, signer.canonical_request(again)), again)
        if parts["Signature"] != wanted or f"/{self.region}/sagemaker/aws4_request" not in parts["Credential"]:
            raise refusal(403, "InvalidSignatureException", "The request signature we calculated does not match")


def refusal(status: int, kind: str, message: str) -> Refused:
    """How AWS refuses in its REST and JSON protocol."""
    return Refused(status, {"Message": message}, {"x-amzn-errortype": kind})


def said(request: web.Request, body: dict[str, Any]) -> str:
    """What the container says."""
    asked = body["messages"][-1]["content"] if "messages" in body else body["prompt"]
    return f"{request.headers['x-amzn-sagemaker-target-variant']} of {request.match_info['name']} was asked: {asked}"


def frame(headers: dict[str, str], payload: bytes) -> bytes:
    """One message of AWS' event stream: lengths, headers, payload, each part with its checksum."""
    texts = [(name.encode(), value.encode()) for name, value in headers.items()]
    head = b"".join(bytes([len(name)]) + name + b"\x07" + struct.pack(">H", len(value)) + value for name, value in texts)
    prelude = struct.pack(">II", 16 + len(head) + len(payload), len(head))
    message = prelude + struct.pack(">I", binascii.crc32(prelude)) + head + payload
    return message + struct.pack(">I", binascii.crc32(message))


def a_model(version: int, **fields: Any) -> Checkpoint:
    """A checkpoint whose package is there already, so that nobody looks at its files."""
    return Checkpoint(
        id=f"c{version}-{new_id()}", task="support", version=version, base_model="tiny", uri="/nowhere", dataset_id="d1", **fields
    )
