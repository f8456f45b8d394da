from hashlib import sha256

from tests.guard.verdicts import GOOD, a_measured_verdict


def test_what_others_read_in_the_evidence_is_there() -> None:
    evidence = a_measured_verdict().evidence

    assert evidence["ledger"] == {"position": 3, "alpha": evidence["rule"]["approval_alpha"], "sets": ["golden-fingerprint"]}
    assert {row["gate"] for row in evidence["gates"]} == {"ordinary", "safety", "slice", "capability", "alignment"}
    assert evidence["false_block"]["rate"] == 0.2
    for row in evidence["metrics"].values():
        assert {"gate", "part", "mde", "alpha", "level", "p_regressed", "p_not_worse", "required_examples"} <= row.keys()
    assert evidence["seeds"] == {"training": 3, "order": 11}
    assert evidence["audit"]["labelled"]["helpfulness"] == 44


def test_a_score_stands_once_and_with_its_item() -> None:
    verdict = a_measured_verdict(size=90)
    items, pairs = verdict.evidence["items"], verdict.evidence["pairs"]

    assert [row["id"] for row in items] == [f"golden-{n:04d}" for n in range(90)]
    assert items[7]["scores"] == {}, "an item that one model has no score of is dropped from both"
    assert [row["metric"] for row in pairs if "baseline" in row] == ["capability:general text"]
    assert sum(row["known"] for row in items) == 45


def test_answers_are_known_by_their_hashes() -> None:
    items = a_measured_verdict(answer="No idea.").evidence["items"]

    assert items[1]["answers"] == [sha256(text.encode()).hexdigest() for text in (GOOD, "No idea.")]
    assert items[0]["answers"][1] is None, "the candidate gave no answer"


def test_the_worst_answers_come_first_with_all_their_digits() -> None:
    evidence = a_measured_verdict(fall=0.3).evidence
    changes = {
        row["id"]: [after - before for before, after in row["scores"].values()] for row in evidence["items"] if row["scores"]
    }
    means = {name: sum(found) / len(found) for name, found in changes.items()}

    assert [row["delta"] for row in evidence["worst"]] == sorted(means.values())[:3]
