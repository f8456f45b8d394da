import json
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from continuum.cli import app
from continuum.errors import ConfigurationError, StoreError
from continuum.guard.evidence import fingerprint_of
from continuum.guard.guard import RegressionGuard
from continuum.guard.replay import (
    COVERED,
    NOT_COVERED,
    differences,
    read_verdict,
    replay,
    require_as_stored,
    require_reproducible,
)
from continuum.guard.report import write_report
from continuum.policy import GuardPolicy
from continuum.records import Verdict, VerdictStatus
from continuum.store.database import Store, open_store
from tests.guard.conftest import RuledAnswerer, a_checkpoint, golden_set, scored
from tests.guard.verdicts import a_measured_verdict

Path_ = tuple[str | int, ...]
RAW = {
    "items", "pairs", "probes", "nats", "documents", "rule", "seeds", "seed", "max_violation_rate", "golden", "files",
    "fingerprint",
}  # fmt: skip
"""What is measured or asked for, and not worked out."""


@cache
def the_verdict() -> dict[str, Any]:
    return a_measured_verdict(fall=0.03).model_dump(mode="json")


def numbers(value: Any, path: Path_ = ()) -> Iterator[Path_]:
    """Where there is a number, or a yes or no."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from numbers(inner, (*path, name))
    elif isinstance(value, list):
        for n, inner in enumerate(value):
            yield from numbers(inner, (*path, n))
    elif isinstance(value, bool | int | float):
        yield path


@cache
def places() -> tuple[list[Path_], list[Path_]]:
    """All numbers of the verdict, and those that are worked out."""
    found = list(numbers(the_verdict()))
    return found, [path for path in found if not RAW.intersection(path)]


def altered(path: Path_, change: float, *, sealed: bool = False) -> Verdict:
    """The verdict with one number changed, by a bit of it or by much; `sealed` writes a fingerprint that fits."""
    changed = deepcopy(the_verdict())
    inner: Any = changed
    for step in path[:-1]:
        inner = inner[step]
    value = inner[path[-1]]
    inner[path[-1]] = not value if isinstance(value, bool) else value + 1 if isinstance(value, int) else moved(value, change)
    if sealed:
        changed["evidence"]["fingerprint"] = fingerprint_of(changed["evidence"])
    return Verdict.model_validate_json(json.dumps(changed))


def moved(value: float, change: float) -> float:
    return value + change if value + change != value else value * (1 + 1e-15) + 1e-300


@pytest.mark.parametrize("fall", [0.0, 0.03, 0.2])
def test_a_verdict_comes_out_of_its_own_evidence_to_the_bit(fall: float) -> None:
    verdict = a_measured_verdict(fall=fall)
    kept = Verdict.model_validate_json(verdict.model_dump_json())

    assert replay(kept) == verdict
    assert differences(kept) == []
    require_reproducible(kept)


def test_the_same_measurements_have_one_fingerprint_whatever_the_models_are_called() -> None:
    first, again = a_measured_verdict(), a_measured_verdict()
    renamed = deepcopy(again.evidence)
    renamed["candidate"] |= {"model": "support-v9", "id": "c9", "base_model": "/elsewhere/tiny"}
    renamed["alignment"]["candidate"] = "support-v9"
    renamed["versions"] = {"python": "3.99"}

    assert first.id != again.id
    assert first.evidence["fingerprint"] == again.evidence["fingerprint"] == fingerprint_of(renamed)
    assert a_measured_verdict(seed=1).evidence["fingerprint"] != first.evidence["fingerprint"]


def test_no_item_is_left_out_and_no_score_is_rounded() -> None:
    verdict = a_measured_verdict(size=1200)

    items = verdict.evidence["items"]
    assert len(items) == 1200
    assert len({len(repr(both[0])) for row in items for both in row["scores"].values()}) > 1
    assert differences(verdict) == []


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.data(), st.sampled_from([1e-16, -1e-9, 0.01, -0.5]))
def test_whatever_number_is_altered_is_noticed(data: st.DataObject, change: float) -> None:
    path = data.draw(st.sampled_from(places()[0]))

    with pytest.raises(StoreError, match="altered"):
        require_reproducible(altered(path, change))


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.data(), st.sampled_from([1e-16, -1e-9, 0.01, -0.5]))
def test_a_number_that_is_worked_out_cannot_be_altered_with_its_fingerprint(data: st.DataObject, change: float) -> None:
    path = data.draw(st.sampled_from(places()[1]))

    with pytest.raises(StoreError, match="altered"):
        require_reproducible(altered(path, change, sealed=True))


def test_the_first_number_that_differs_is_named() -> None:
    with pytest.raises(StoreError, match=r"evidence\.metrics\.helpfulness\.delta is .*, and its evidence makes it"):
        require_reproducible(altered(("evidence", "metrics", "helpfulness", "delta"), 0.25))


def test_words_and_the_word_itself_are_checked_too() -> None:
    verdict = a_measured_verdict(fall=0.3)
    praised = verdict.model_copy(
        update={"status": VerdictStatus.APPROVED, "approved": True, "max_traffic": 1.0, "failed_checks": ()}
    )

    assert {found.path.partition("[")[0] for found in differences(praised)} == {
        "status",
        "approved",
        "max_traffic",
        "failed_checks",
    }


def test_a_probe_that_is_said_to_be_kept_is_noticed() -> None:
    changed = deepcopy(the_verdict())
    changed["evidence"]["alignment"]["probes"][0]["candidate"]["word"] = "kept"
    changed["evidence"]["fingerprint"] = fingerprint_of(changed["evidence"])

    found = {one.path for one in differences(Verdict.model_validate(changed))}
    assert "evidence.alignment.overall.broken" in found


def test_a_verdict_of_an_older_version_says_that_it_cannot_be_decided_again() -> None:
    verdict = a_measured_verdict()
    older = {name: value for name, value in verdict.evidence.items() if name != "pairs"}

    with pytest.raises(StoreError, match="older version"):
        replay(verdict.model_copy(update={"evidence": older}))


@pytest.mark.parametrize(
    "damage", [{"pairs": [{"gate": "ordinary"}]}, {"rule": {}}, {"items": [{}]}, {"alignment": {"probes": [{}]}}]
)
def test_evidence_that_cannot_be_read_is_refused_with_its_reason(damage: dict[str, Any]) -> None:
    verdict = a_measured_verdict()

    with pytest.raises(StoreError, match="altered"):
        replay(verdict.model_copy(update={"evidence": verdict.evidence | damage}))


@pytest.mark.slow
def test_a_database_keeps_every_digit(postgres_url: str) -> None:
    verdict = a_measured_verdict(fall=0.1)
    store = open_store(postgres_url)
    try:
        store.verdicts.add(verdict)
        assert store.verdicts.get(verdict.id) == verdict
        assert differences(read_verdict(verdict.id, store)) == []
    finally:
        store.close()


def test_a_verdict_is_read_by_its_id_or_from_its_report(store: Store, tmp_path: Path) -> None:
    verdict = a_measured_verdict()
    store.verdicts.add(verdict)
    report = write_report(verdict, tmp_path / "verdict.json")

    assert read_verdict(verdict.id, store) == read_verdict(str(report), store) == verdict
    assert differences(read_verdict(verdict.id, store)) == []
    with pytest.raises(ConfigurationError, match="neither the id"):
        read_verdict("nothing", store)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{}", "it has no task, checkpoint_id, baseline, golden_id"),
        ('{"task": "support", "evidence": {}}', "it has no checkpoint_id, baseline, golden_id, status"),
        ('{"question": "a"}\n{"question": "b"}\n', "it is not one JSON document"),
        ("", "it is not one JSON document"),
        ("[]", "it is JSON, and no object with a verdict's fields"),
    ],
)
def test_a_file_that_holds_no_verdict_is_refused_in_a_sentence(store: Store, tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "verdict.json"
    file.write_text(text)

    with pytest.raises(StoreError) as raised:
        read_verdict(str(file), store)

    assert str(raised.value) == f"{file} does not hold a verdict: {said}; write one with --report FILE.json"


def test_what_a_replay_does_not_cover_is_what_it_says(store: Store) -> None:
    kept = a_measured_verdict().model_dump(mode="json")
    seen: dict[str, bool] = {}
    for path in texts(kept):
        named = ".".join(str(step) for step in path if not isinstance(step, int))
        if named not in seen:
            changed = deepcopy(kept)
            inner: Any = changed
            for step in path[:-1]:
                inner = inner[step]
            inner[path[-1]] += "x"
            seen[named] = noticed(changed)

    assert {named for named, told in seen.items() if not told} == {
        "id",
        "task",
        "evidence.candidate.base_model",
        "evidence.notes",
        "evidence.capability.notes",
        "evidence.capability.losses.general text.fingerprint",
        *(f"evidence.versions.{name}" for name in ("python", "continuum-ai", "numpy", "scipy")),
    }
    for word in ("notes", "names of models", "versions", "hash of the general texts", "task", "id", "time"):
        assert word in NOT_COVERED


def texts(value: Any, path: Path_ = ()) -> Iterator[Path_]:
    if isinstance(value, str):
        yield path
    elif isinstance(value, dict | list):
        for step, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from texts(inner, (*path, step))


def noticed(verdict: dict[str, Any]) -> bool:
    try:
        require_reproducible(Verdict.model_validate_json(json.dumps(verdict)))
    except (ValueError, StoreError):
        return True
    return False


def test_what_a_replay_does_not_cover_is_held_against_the_stores_verdict(store: Store, tmp_path: Path) -> None:
    verdict = a_measured_verdict()
    report = write_report(verdict, tmp_path / "verdict.json")
    assert require_as_stored(read_verdict(str(report), store), store) is False

    store.verdicts.add(verdict)
    assert require_as_stored(read_verdict(str(report), store), store) is True
    report.write_text(report.read_text().replace("scores are the judge's", "all is well"))
    altered_note = read_verdict(str(report), store)
    require_reproducible(altered_note)
    with pytest.raises(StoreError, match=r"evidence\.notes\[0\] is 'all is well' here and \"scores are the judge's\" there"):
        require_as_stored(altered_note, store)


def test_the_command_says_what_it_covers_and_what_it_does_not(store: Store, tmp_path: Path) -> None:
    verdict = a_measured_verdict(fall=0.3)
    report = write_report(verdict, tmp_path / "verdict.json")

    alone = CliRunner().invoke(app, ["guard", "--replay", str(report)])
    store.verdicts.add(verdict)
    beside = CliRunner().invoke(app, ["guard", "--replay", str(report)])
    report.write_text("{}")
    none = CliRunner().invoke(app, ["guard", "--replay", str(report)])

    assert (alone.exit_code, beside.exit_code, none.exit_code) == (1, 1, 3)
    for shown in (alone, beside):
        assert f"to the last bit: {COVERED}" in shown.output
        assert f"is for: continuum proof {verdict.checkpoint_id}" in shown.output
    assert f"not covered: {NOT_COVERED}; the store has no such verdict" in alone.output
    assert f"as the store has them, and not worked out again: {NOT_COVERED}" in beside.output
    assert "does not hold a verdict: it has no task, checkpoint_id, baseline, golden_id; write one with" in none.output


async def test_a_verdict_that_compared_nothing_is_decided_again_as_such(store: Store) -> None:
    rules = GuardPolicy(capability=False, alignment="off")
    guard = RegressionGuard(
        golden_set(20, scored_four), [], answerer=RuledAnswerer({"support-v1": scored_four}), rules=rules, store=store
    )

    verdict = await guard.evaluate(candidate_model=a_checkpoint())

    assert (verdict.evidence["pairs"], verdict.approved) == ([], False)
    require_reproducible(Verdict.model_validate_json(verdict.model_dump_json()))


def scored_four(n: int) -> str:
    return scored(4)
