"""The benchmarks of judging count right, in runs that are small and real: processes, a provider that charges, kills."""

import json
import random
import urllib.request
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.claims import Entry, Result, Setting
from benchmarks.judging import killing, rerunning, spending, throughput
from benchmarks.judging.backlogs import backlog, interactions
from benchmarks.judging.provider import Ledger, Manners, running_provider
from benchmarks.judging.spender import TASK
from continuum.records import Annotation


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    """A benchmark's setting, with made-up data and without a word."""
    folder = tmp_path / "bench"
    folder.mkdir()
    return Setting(quick=True, folder=folder, data=None, seed=0, say=lambda text: None)


def entry(result: Result, words: str) -> Entry:
    """The entry whose claim holds these words."""
    (found,) = [entry for entry in result.entries if words in entry.claim]
    return found


def a_trial(**changes: object) -> spending.Trial:
    """A trial in which everything went well."""
    whole = spending.Trial(
        limit=1000,
        charged=900,
        booked=900,
        unknown=0,
        left_reserved=0,
        judged=9,
        stored=9,
        stored_cost=0.0009,
        cancelled=0,
        ledger=Ledger(outcomes=Counter(well=9), of_content=Counter({f"c{n}": 1 for n in range(9)})),
    )
    return replace(whole, **changes)  # type: ignore[arg-type]


# --- budgets -------------------------------------------------------------------------------------------------------


def test_what_is_charged_beyond_a_budget_is_told_as_a_share_of_it():
    assert a_trial(charged=1200).overspend == pytest.approx(0.2)
    assert a_trial(charged=900).overspend == 0


def test_each_fault_of_a_trial_misses_its_own_claim():
    bad = {
        "charged beyond": a_trial(charged=1001),
        "budget that was charged": a_trial(charged=700),
        "left reserved": a_trial(left_reserved=1),
        "not stored": a_trial(stored=8),
        "two answers": a_trial(ledger=Ledger(outcomes=Counter(well=2), of_content=Counter(c=2))),
    }
    size = replace(spending.QUICK, trials=1)

    for words, fault in bad.items():
        result = spending.told([fault], [a_trial()], size)

        assert [found.claim for found in result.entries if not found.holds] == [entry(result, words).claim]


def test_asking_again_after_an_answer_that_never_arrived_is_no_second_charge():
    ledger = Ledger(outcomes=Counter(well=1, silent=1), of_content=Counter(c=2))

    assert spending.doubled([a_trial(ledger=ledger)]) == 0


@pytest.mark.slow
def test_a_budget_that_two_processes_share_is_spent_and_not_overspent(setting: Setting):
    size = spending.Size(trials=1, naive=0, processes=2, concurrency=8, backlog=40, budget_usd=0.003)
    manners = replace(spending.MANNERS, latency_s=0.05)
    with running_provider() as provider, spending.running_spenders(2) as spenders:
        found = spending.trial(setting, size, "ours", 0, random.Random(0), provider, spenders, manners)

    assert 0 < found.charged <= found.limit
    assert found.judged == found.stored > 0
    assert found.left_reserved == 0


# --- the provider --------------------------------------------------------------------------------------------------


def test_the_provider_charges_a_request_under_one_key_once():
    body = json.dumps({"messages": [{"role": "user", "content": "score this"}]}).encode()
    with running_provider() as provider:
        provider.reset(Manners(latency_s=0.0))
        for _ in range(2):
            headers = {"content-type": "application/json", "idempotency-key": "one"}
            request = urllib.request.Request(provider.base_url + "/chat/completions", body, headers)  # noqa: S310
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
                assert json.load(answer)["choices"]
        ledger = provider.ledger()

    assert (ledger.requests, ledger.charged, ledger.repeated) == (2, 1, 1)
    assert ledger.micro_usd > 0


def test_no_two_interactions_of_a_backlog_say_the_same():
    made = interactions(700, None, seed=1)

    assert len({one.messages[-1].text for one in made}) == 700
    assert [one.messages for one in made] == [one.messages for one in interactions(700, None, seed=1)]


# --- again, and after kills ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_small_backlog_that_is_judged_again_costs_nothing(setting: Setting):
    result = rerunning.measure(setting, count=12)

    assert all(found.holds for found in result.entries)
    assert result.table.row_count == 3


def test_forgetting_annotations_leaves_what_was_judged_of_each_content(tmp_path: Path):
    store, _ = backlog(tmp_path / "b.db", 2, data=None, seed=0)
    one = Annotation(interaction_id="0-0", task=TASK, judge="j", rubric="r")
    store.annotations.add([one])

    rerunning.forget_annotations(store)

    assert store.annotations.count(TASK) == 0
    assert store.interactions.count(TASK) == 2
    store.close()


@pytest.mark.slow
def test_a_killed_annotator_is_taken_up_where_it_was(setting: Setting):
    result = killing.measure(setting, killing.Size(interactions=40, kills=1))

    assert all(found.holds for found in result.entries)
    assert entry(result, "judged exactly once").ours == 0


def test_waiting_for_annotations_that_never_come_ends_with_how_many_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(killing, "START_S", 0.05)
    store, _ = backlog(tmp_path / "b.db", 1, data=None, seed=0)

    with pytest.raises(TimeoutError, match="only 0 of 5 annotations"):
        killing.wait_for(store, 5, 0.0)
    store.close()


# --- throughput ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_throughput_is_told_as_a_share_of_what_the_calls_at_once_allow(setting: Setting):
    result = throughput.measure(setting, throughput.Size(limits=(8,), of_each=2, rounds=1))

    (found,) = result.entries
    assert found.claim.endswith("16 interactions")
    assert found.ours is not None
    assert 0 < found.ours <= 1
