"""Whatever the order of a provider's result lines, and however often they come, the books and the rows are the same."""

import asyncio
import json
import random
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from continuum.annotation.batches import collect_batches, submit_backlog
from continuum.config import load_settings
from continuum.judging.model_judge import EndpointJudge
from continuum.models.endpoint import EndpointModel
from continuum.models.pricing import Price
from continuum.policy import TaskPolicy
from continuum.store.database import Store, open_store
from tests.builders import interactions
from tests.stub_batch import refusal, stub_batch
from tests.stub_endpoint import completion, scores

pytestmark = pytest.mark.slow
Lines = list[str]
FOURS = scores(helpfulness=4, accuracy=4, conciseness=4, tone=4)
ANSWERS: dict[str, Any] = {
    "good": completion(FOURS),
    "dear": completion(FOURS, given=300, said=200),
    "cut off": completion(FOURS[:30], finish="length"),
    "words": completion("Well, it depends."),
    "no usage": completion(FOURS) | {"usage": None},
    "odd usage": completion(FOURS) | {"usage": {"prompt_tokens": "many", "completion_tokens": -1, "total_tokens": 1e99}},
    "no message": completion(FOURS) | {"choices": []},
    "trouble": (500, refusal("try later", "server_error")),
    "refusal": (400, refusal("not allowed", "content_policy_violation")),
}


def outcome_of(
    empty: Path, folder: Path, kinds: Sequence[str], expires: int | None, in_files: Callable[[Lines], Lines], polls: int
):
    """What the store holds once a batch of so many answers was collected: books, opinions, outcomes, claims."""
    shutil.copy(empty, folder / "continuum.db")
    store = open_store(f"sqlite:///{folder / 'continuum.db'}")
    try:
        return asyncio.run(_collected(store, kinds, expires, in_files, polls))
    finally:
        store.close()
        for left in folder.glob("continuum.db*"):
            left.unlink()


async def _collected(
    store: Store, kinds: Sequence[str], expires: int | None, in_files: Callable[[Lines], Lines], polls: int
) -> tuple[Any, ...]:
    # Of one name in every run, so that the same ones are worked on before a batch expires.
    store.interactions.add(one.model_copy(update={"id": f"interaction-{n:02}"}) for n, one in enumerate(interactions(len(kinds))))
    names = {one.messages[0].text: one.id for one in store.interactions.scan("support")}
    order = {question: n for n, question in enumerate(sorted(names))}

    worked_on: list[str] = []

    def answer(body: dict[str, Any]) -> Any:
        worked_on.append(next(kinds[n] for question, n in order.items() if f'"{question}"' in body["messages"][1]["content"]))
        return ANSWERS[worked_on[-1]]

    environment = load_settings({"CONTINUUM_HOME": ".", "CONTINUUM_JUDGE_API_KEY": "key"})
    async with stub_batch(answer, expires_after=expires, in_files=in_files) as stub:
        model = EndpointModel("judge", base_url=stub.base_url, api_key=SecretStr("key"), price=Price(2.0, 8.0))
        await submit_backlog(store, TaskPolicy(task="support"), EndpointJudge(model))
        spent = [stats.cost_usd for _ in range(4 + polls) for stats in await collect_batches(store, settings=environment)]
    balance = store.accounts.balance("support")
    said = store.annotations.of(names.values())
    opinions = {
        order[question]: (said[one].status, said[one].overall, said[one].cost_usd)
        for question, one in names.items()
        if one in said
    }
    assert balance.reserved_micro_usd == 0
    assert round(sum(spent) * 1e6) == balance.spent_micro_usd
    claims, to_live = store.judgements.count(claims=True), store.batches.left_to_live("support", "judge", rubric_of(said))
    return balance, sorted(worked_on), opinions, store.batches.open(), claims, len(to_live)


def rubric_of(said: dict[str, Any]) -> str:
    return next((one.rubric for one in said.values()), "")


def disturbed(seed: int, twice: float, weak: float) -> Callable[[Lines], Lines]:
    """Lines in another order, some of them twice, some with a second line about them that says less."""

    def work(lines: Lines) -> Lines:
        rng = random.Random(seed)
        more = [line for line in lines if rng.random() < twice]
        less = [json.dumps({"custom_id": json.loads(line)["custom_id"], "response": {}}) for line in lines if rng.random() < weak]
        foreign = [json.dumps({"custom_id": "0" * 64, "response": {"status_code": 200, "body": {}}, "error": None})]
        return rng.sample(mixed := [*lines, *more, *less, *foreign], len(mixed))

    return work


# Without shrinking: an example takes a second, and there would be thousands.
@settings(
    max_examples=25,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    kinds=st.lists(st.sampled_from(sorted(ANSWERS)), min_size=1, max_size=12),
    expires=st.none() | st.integers(0, 12),
    seed=st.integers(0, 2**32),
    twice=st.floats(0, 1),
    weak=st.floats(0, 1),
    polls=st.integers(0, 3),
)
def test_the_books_and_the_rows_do_not_depend_on_the_order_of_the_lines(
    empty_database: Path,
    tmp_path: Path,
    kinds: list[str],
    expires: int | None,
    seed: int,
    twice: float,
    weak: float,
    polls: int,
) -> None:
    plain = outcome_of(empty_database, tmp_path, kinds, expires, lambda lines: lines, 0)
    other = outcome_of(empty_database, tmp_path, kinds, expires, disturbed(seed, twice, weak), polls)

    assert other == plain
    balance, worked_on = plain[:2]
    charged = [kind for kind in worked_on if kind in ("good", "cut off", "words")]
    if not set(worked_on) & {"no usage", "odd usage", "no message"}:
        assert balance.spent_micro_usd == 180 * len(charged) + 1100 * worked_on.count("dear")
