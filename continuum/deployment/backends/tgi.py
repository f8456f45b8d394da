"""Text Generation Inference: a server that is attached to, with the adapters that it was started with.

TGI loads adapters when it starts, lists none, and answers an adapter's name that it does not know with the base model,
silently. So whether a checkpoint is served is found by asking: the same greedy questions go to the adapter, to the base
model and to a name that nobody has; an adapter that is there gives its tokens other probabilities than the base model.
"""

import logging
from dataclasses import dataclass
from typing import Any

from continuum.config import Settings
from continuum.deployment.backends.bases import is_base
from continuum.deployment.backends.calls import LOAD_S, Calls, Reply, Unreachable
from continuum.deployment.backends.protocol import Health, Warmed
from continuum.deployment.backends.vllm import folder_of
from continuum.errors import DeploymentError
from continuum.ids import new_id
from continuum.records import Checkpoint

logger = logging.getLogger(__name__)

QUESTIONS = ("Hello, I have a question about", "Please answer in one word. The capital of France is")
TOKENS = 8
"""How many are compared for each question."""
LEAST_DIFFERENCE = 1e-3
"""Of a token's log-probability, in nats: below it two models are held to be one, even where rounding shows no noise."""
NOISE_FACTOR = 10.0
"""An adapter differs from its base by so many times what the base differs from itself."""
OVERLOADED = 429


class TgiBackend:
    """A TGI server at an OpenAI-compatible base URL."""

    name = "tgi"

    def __init__(self, url: str, settings: Settings) -> None:
        self._calls = Calls(url, settings.serving_api_key)
        self.url = self._calls.url

    async def warm(self, checkpoint: Checkpoint) -> Warmed:
        """Find out whether the server was started with the checkpoint's adapter.

        Raises:
            DeploymentError: it was not, or it has another base model; the message holds the line to start it with.
        """
        try:
            health = await self.health()
            if not health.up:
                return Warmed(False, f"{health.words}; where none runs, {self._start(checkpoint)}")
            await self._require_base(checkpoint)
            base, again = await self._tokens(None), await self._tokens(f"nobody-{new_id()}")
            tuned = await self._tokens(checkpoint.name)
        except Unreachable as error:
            logger.info("%s", error)
            return Warmed(False, str(error))
        busy = next((said for said in (tuned, base, again) if isinstance(said, Reply) and said.status == OVERLOADED), None)
        if busy is not None:
            return Warmed(False, f"the TGI server at {self.url} has no time to answer: {refusal(busy)}")
        if isinstance(tuned, Reply):
            raise DeploymentError(
                f"the TGI server at {self.url} does not answer for {checkpoint.name}: {refusal(tuned)}; {self._start(checkpoint)}"
            )
        if isinstance(base, Reply):
            raise DeploymentError(f"the TGI server at {self.url} does not answer for its base model: {refusal(base)}")
        if isinstance(again, Reply):
            return Warmed(True, f"{checkpoint.name} is answered for, and a name that nobody has is refused")
        noise, difference = farthest(base, again), farthest(base, tuned)
        if noise == float("inf"):
            raise DeploymentError(
                f"the base model of the TGI server at {self.url} answers the same question with other words each time, so that "
                f"nothing tells whether {checkpoint.name} is loaded; deploy it while the server is less busy"
            )
        limit = max(LEAST_DIFFERENCE, NOISE_FACTOR * noise)
        seen = f"its tokens' log-probabilities differ from the base model's by {difference:.2g} nats, and those by {noise:.2g}"
        if difference <= limit:
            raise DeploymentError(
                f"the TGI server at {self.url} answers {checkpoint.name} as it answers its base model ({seen} from themselves): "
                f"the adapter is not loaded, or changes nothing; {self._start(checkpoint)}"
            )
        return Warmed(True, f"{checkpoint.name} is loaded: {seen} from themselves")

    async def unload(self, model: str) -> None:
        """Nothing to do: an adapter goes when the server is started without it, and until then gets no traffic."""

    async def health(self) -> Health:
        """Whether the server and its model run."""
        try:
            reply = await self._calls.get(f"{self._calls.root}/health")
        except Unreachable as error:
            return Health(False, str(error))
        up = reply.status == 200
        return Health(up, "the model answers" if up else f"the server at {self.url} is not ready: {refusal(reply)}")

    async def models(self) -> tuple[str, ...]:
        """Always none: TGI lists no adapters; `warm` finds out about one."""
        return ()

    async def traffic(self, model: str, share: float) -> None:
        """Nothing to do: the gateway splits."""

    async def _require_base(self, checkpoint: Checkpoint) -> None:
        reply = await self._calls.get(f"{self._calls.root}/info")
        served = reply.object().get("model_id")
        if reply.status != 200 or not isinstance(served, str):
            raise DeploymentError(
                f"{self.url} is no TGI server, /info says HTTP {reply.status}: {reply.excerpt}; "
                "give its base URL, such as http://127.0.0.1:8080/v1"
            )
        if not is_base(served, checkpoint.base_model):
            raise DeploymentError(
                f"the TGI server at {self.url} serves {served}, and {checkpoint.name} was trained on {checkpoint.base_model}; "
                f"an adapter answers nonsense on another base: {self._start(checkpoint)}"
            )

    async def _tokens(self, adapter: str | None) -> "list[Token] | Reply":
        """The tokens that an adapter, or the base model, answers the questions with; the reply of a refusal."""
        tokens: list[Token] = []
        parameters: dict[str, Any] = {"max_new_tokens": TOKENS, "do_sample": False, "details": True}
        if adapter is not None:
            parameters["adapter_id"] = adapter
        for question in QUESTIONS:
            body = {"inputs": question, "parameters": parameters}
            reply = await self._calls.post(f"{self._calls.root}/generate", body, within_s=LOAD_S)
            if reply.status == 401:
                raise DeploymentError(
                    f"the TGI server at {self.url} asks for a key; set CONTINUUM_SERVING_API_KEY to its --api-key"
                )
            if reply.status != 200:
                return reply
            tokens += read_tokens(reply)
        return tokens

    def _start(self, checkpoint: Checkpoint) -> str:
        adapter = f"{checkpoint.name}={folder_of(checkpoint)}"
        return (
            f"start it with `LORA_ADAPTERS={adapter} text-generation-launcher --model-id {checkpoint.base_model}`, "
            "and the adapters it serves already before that one, with commas between them"
        )


@dataclass(frozen=True)
class Token:
    """One token of an answer."""

    id: int
    logprob: float
    """Natural logarithm of the probability that the model gave it."""


def read_tokens(reply: Reply) -> list[Token]:
    """The tokens of an answer with details.

    Raises:
        DeploymentError: it has none.
    """
    details = reply.object().get("details")
    listed = details.get("tokens") if isinstance(details, dict) else None
    try:
        return [Token(int(token["id"]), float(token["logprob"])) for token in listed or ()]
    except (KeyError, TypeError, ValueError) as error:
        raise DeploymentError(f"a TGI server answered tokens that cannot be read: {reply.excerpt}") from error


def farthest(one: list[Token], other: list[Token]) -> float:
    """The largest difference between two answers' log-probabilities; infinite where the tokens are others."""
    if [token.id for token in one] != [token.id for token in other]:
        return float("inf")
    return max((abs(a.logprob - b.logprob) for a, b in zip(one, other, strict=True)), default=0.0)


def refusal(reply: Reply) -> str:
    """A server's own words on why it does not answer."""
    return f"HTTP {reply.status}: {reply.object().get('error') or reply.excerpt}"
