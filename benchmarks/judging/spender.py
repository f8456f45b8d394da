"""A process that judges a task's backlog when told to: ours, and one that checks its budget and then calls.

It reads one JSON order a line from stdin and answers each with one JSON line on stdout.
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import IO, Any

from benchmarks.judging.provider import INPUT_MICRO_USD, MODEL, OUTPUT_MICRO_USD
from continuum.judging.criteria import rubric_fingerprint
from continuum.judging.judge import content_key
from continuum.judging.model_judge import EndpointJudge
from continuum.judging.prompt import answer_form, judge_messages
from continuum.models.endpoint import EndpointModel, response_format
from continuum.models.pricing import Price
from continuum.records import Annotation
from continuum.rubric import DEFAULT_CRITERIA
from continuum.store.accounts import AccountKey
from continuum.store.database import Store, open_store

TASK = "spending"
PRICE = Price(INPUT_MICRO_USD, OUTPUT_MICRO_USD)
NAIVE = AccountKey(TASK, "annotation", "naive")


@dataclass(frozen=True)
class Order:
    """What to judge, where, and how."""

    kind: str
    """`ours`, or `check-then-call`."""
    database: str
    base_url: str
    concurrency: int
    timeout_s: float = 3.0
    cancel_after_s: float | None = None
    budget_usd: float | None = None
    """Of the peer; ours has the policy's."""


async def ours(order: Order) -> dict[str, Any]:
    """Judge what there is to judge, and say what it came to."""
    from continuum.annotation.annotator import Annotator

    store = open_store(order.database)
    model = EndpointModel(MODEL, base_url=order.base_url, price=PRICE, timeout_s=order.timeout_s, backoff_s=0.05)
    annotator = Annotator(EndpointJudge(model), store=store, concurrency=order.concurrency, admission="off")
    try:
        async with asyncio.timeout(order.cancel_after_s):
            return asdict(await annotator.annotate_backlog(TASK))
    except TimeoutError:
        return {"cancelled": True}
    finally:
        store.close()


async def check_then_call(order: Order) -> dict[str, Any]:
    """The budget most would write: look at what is spent, call with the client's own retries, add what it cost."""
    import openai

    store = open_store(order.database)
    limit = int((order.budget_usd or 0) * 1e6)
    client = openai.AsyncOpenAI(base_url=order.base_url, api_key="none", timeout=order.timeout_s)
    backlog = iter(list(store.interactions.unannotated(TASK, judge=MODEL, rubric=rubric_fingerprint(DEFAULT_CRITERIA))))
    judged = 0

    async def take_up() -> None:
        nonlocal judged
        for interaction in backlog:
            if interaction.response is None or not claimed(store, content_key(interaction.messages, interaction.response, ())):
                continue
            if store.accounts.balance(TASK, period=NAIVE.period).spent_micro_usd >= limit:
                return
            prompt, ordered = judge_messages(interaction.messages, interaction.response, DEFAULT_CRITERIA)
            try:
                answer = await client.chat.completions.create(
                    model=MODEL,
                    messages=[message.to_openai() for message in prompt],  # type: ignore[arg-type]
                    response_format=response_format(answer_form(ordered)),  # type: ignore[arg-type]
                    max_completion_tokens=1280,
                )
            except openai.APIError:
                continue
            usage = answer.usage
            cost = usage.prompt_tokens * INPUT_MICRO_USD + usage.completion_tokens * OUTPUT_MICRO_USD if usage else 0
            store.accounts.reserve(NAIVE, "naive", int(cost))
            store.accounts.settle(NAIVE, "naive", reserved_micro_usd=int(cost), spent_micro_usd=int(cost))
            judged += 1

    await asyncio.gather(*(take_up() for _ in range(order.concurrency)))
    await client.close()
    store.close()
    return {"judged": judged}


def claimed(store: Store, key: str) -> bool:
    """Whether this process is the one to judge it; annotations under another name serve as the claims."""
    claim = Annotation(interaction_id=key, task="claims", judge="naive", rubric="naive")
    return store.annotations.add([claim]) == 1


def main() -> None:
    """Take orders until there are no more."""
    for line in sys.stdin:
        order = Order(**json.loads(line))
        print(json.dumps(asyncio.run(ours(order) if order.kind == "ours" else check_then_call(order))), flush=True)


@dataclass
class Spender:
    """A spender in its process, as those who measure see it."""

    process: subprocess.Popen[str]
    orders: list[Order] = field(default_factory=list)

    def told(self, order: Order) -> None:
        """Give it an order; it works while we go on."""
        self.orders.append(order)
        pipe(self.process.stdin).write(json.dumps(asdict(order)) + "\n")
        pipe(self.process.stdin).flush()

    def answer(self) -> dict[str, Any]:
        """What became of its oldest order; waits for it."""
        line = pipe(self.process.stdout).readline()
        if not line:
            raise RuntimeError("a spender died before it answered")
        return json.loads(line)


def pipe(stream: IO[str] | None) -> IO[str]:
    """A stream that is there."""
    assert stream is not None
    return stream


@contextmanager
def running_spenders(count: int) -> Iterator[list[Spender]]:
    """So many spenders while the block runs."""
    command = [sys.executable, "-m", "benchmarks.judging.spender"]
    started = [Spender(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)) for _ in range(count)]
    try:
        yield started
    finally:
        for spender in started:
            spender.process.kill()
            spender.process.wait()
            pipe(spender.process.stdin).close()
            pipe(spender.process.stdout).close()


if __name__ == "__main__":
    main()
