from continuum.guard.guard import RegressionGuard
from continuum.judging.scripted import ScriptedJudge
from continuum.records import DatasetRecord, VerdictStatus
from continuum.store.database import Store
from tests.builders import an_interaction
from tests.guard.conftest import RuledAnswerer, a_checkpoint, crown, golden_set, scored

OLD, NEW = 80, 60


def learned(store: Store, golden_ids: list[str]) -> None:
    """The first `OLD` golden items reached the store before the champion was trained, the others after."""
    store.interactions.add(an_interaction(id=one) for one in golden_ids)
    manifest = {"through": store.interactions.count("support") - NEW}
    record = DatasetRecord(id="data1", task="support", name="support_training_v1", version=1, uri="nowhere", manifest=manifest)
    store.datasets.add(record, [])
    crown(store, a_checkpoint(1))


async def test_a_candidate_that_learns_the_new_and_forgets_the_old_is_blocked_though_it_gains_on_average(
    store: Store, judge: ScriptedJudge
) -> None:
    golden = golden_set(OLD + NEW, lambda n: scored(4))
    learned(store, [item.interaction_id for item in golden])
    answerer = RuledAnswerer(
        {"support-v1": lambda n: scored(5 if n < OLD else 1), "support-v2": lambda n: scored(4 if n < OLD else 5)}
    )
    guard = RegressionGuard(golden, ["helpfulness"], judge=judge, answerer=answerer, store=store)

    verdict = await guard.evaluate(candidate_model=a_checkpoint(2))

    assert verdict.deltas["helpfulness"] > 0.2
    assert verdict.deltas["helpfulness:known"] == -0.25
    assert verdict.status == VerdictStatus.BLOCKED
    assert verdict.failed_checks == (
        "helpfulness on what the champion knew fell by 0.25 (95% -0.25 to -0.25), more than the 0.02 allowed, on 80 golden items",
    )


async def test_what_was_known_can_block_and_is_not_asked_for_an_approval(store: Store, judge: ScriptedJudge) -> None:
    golden = golden_set(OLD + NEW, lambda n: scored(4))
    learned(store, [item.interaction_id for item in golden])
    # Of forty known items half are a star better and half a star worse: neither shown to be no worse, nor shown to be worse.
    answerer = RuledAnswerer(
        {
            "support-v1": lambda n: scored(5 if n < 40 and n % 2 else 4),
            "support-v2": lambda n: scored(5 if n >= OLD or (n < 40 and n % 2 == 0) else 4),
        }
    )
    guard = RegressionGuard(golden, ["helpfulness"], judge=judge, answerer=answerer, store=store)

    verdict = await guard.evaluate(candidate_model=a_checkpoint(2))

    assert verdict.evidence["metrics"]["helpfulness:known"]["outcome"] == "undecided"
    assert verdict.status == VerdictStatus.APPROVED


async def test_before_there_is_a_champion_nothing_was_known(store: Store, judge: ScriptedJudge) -> None:
    golden = golden_set(OLD + NEW, lambda n: scored(4))
    answerer = RuledAnswerer({"support-v1": lambda n: scored(4)})
    guard = RegressionGuard(golden, ["helpfulness"], judge=judge, answerer=answerer, store=store)

    verdict = await guard.evaluate(candidate_model=a_checkpoint(1))

    assert list(verdict.deltas) == ["helpfulness"]
