"""A proof holds while nothing it names was altered, and says which artifact was."""

import json
import sqlite3
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from continuum.errors import ProofBroken, StoreError
from continuum.provenance.proof import Link, Proof, read_proof
from continuum.provenance.proving import build_proof, prove
from continuum.provenance.verifying import Verified, require_proof, verify_folder
from continuum.records import Annotation, Feedback
from continuum.splits.golden import GoldenDataset
from continuum.store.database import Store, open_store
from continuum.store.retention import erase
from continuum.store.tables import checkpoints
from tests.builders import NOON, an_interaction
from tests.proven_line import ProvenLine

UPSTREAM_FILES = [
    ("support_training_v1/examples.parquet", "examples.parquet of support_training_v1"),
    ("support_training_v1/manifest.json", "manifest.json of support_training_v1"),
    ("support_training_v2/rated_answers.parquet", "rated_answers.parquet of support_training_v2"),
    ("support_golden_v1/golden.parquet", "golden.parquet of support_golden_v1"),
    ("base/model.safetensors", "model.safetensors of "),
    ("support-v1/adapter_model.safetensors", "adapter_model.safetensors of support-v1"),
    ("support-v1/manifest.json", "manifest.json of support-v1"),
    ("support-v2/training.json", "training.json of support-v2"),
]
UPSTREAM_ROWS = [
    ("UPDATE interactions SET latency_ms = 7 WHERE id = 'i3'", "interactions of support_training_v2: interaction i3"),
    ("UPDATE interactions SET started_at = replace(started_at, ' ', '!') WHERE id = 'i1'", "interaction i1"),
    ("UPDATE interactions SET body = x'00' WHERE id = 'i5'", "interactions of support_golden_v1: interaction i5"),
    ("UPDATE bodies SET messages = replace(messages, 'parcel', 'Parcel') WHERE messages LIKE '%number 8:%'", "interaction i8"),
    ("UPDATE bodies SET response = '{' WHERE messages LIKE '%number 0:%'", "interaction i0"),
    ("DELETE FROM interactions WHERE id = 'i2'", "interaction i2 of commitment .* is gone"),
    ("UPDATE feedback SET score = 4 WHERE id = 'f3'", "feedback of interaction i3 was altered or taken away"),
    ("UPDATE feedback SET comment = 'Thanks' WHERE id = 'f-late'", "feedback of interaction i0 .*not as proven: f-late"),
    ("UPDATE feedback SET trusted = 3 WHERE id = 'f1'", "feedback of interaction i1"),
    ("DELETE FROM annotations WHERE id = 'a6'", "an annotation of interaction i6"),
    ("UPDATE annotations SET scores = '{\"tone\": 5.0}' WHERE id = 'a7'", "an annotation of interaction i7 .*a7"),
    ("UPDATE commitments SET salt = x'00' WHERE interaction_id = 'i4'", "interaction i4, or the salt"),
    ("UPDATE commitments SET commitment = 'x' WHERE interaction_id = 'i4'", "of interaction i4 has neither"),
    ("DELETE FROM commitments WHERE interaction_id = 'i7'", "of interaction i7 has neither"),
    ("UPDATE dataset_items SET score = 1 WHERE interaction_id = 'i3'", "who is in support_training_v2 were altered"),
    ("DELETE FROM dataset_items WHERE interaction_id = 'i7'", "who is in support_golden_v1 were altered"),
    ("UPDATE datasets SET manifest = '{}' WHERE name = 'support_training_v1'", "row of dataset support_training_v1"),
    ("UPDATE datasets SET id = 'x' WHERE name = 'support_golden_v1'", "support_golden_v1: its row .* is not in the store"),
    ("UPDATE checkpoints SET metrics = '{}' WHERE id = 'c1'", "row of checkpoint support-v1"),
    ("UPDATE checkpoints SET generation = 2 WHERE id = 'c2'", "row of checkpoint support-v2"),
    ("UPDATE verdicts SET approved = 3 WHERE id = 'verdict-2'", "row of verdict verdict-2"),
    ("UPDATE verdicts SET evidence = CAST(x'ff' AS TEXT) WHERE id = 'verdict-2'", "row of verdict verdict-2"),
    (
        "UPDATE verdicts SET status = 'blocked' WHERE id = 'verdict-1'",
        "support-v1: the store's row of verdict verdict-1",
    ),
]
"""What is done past the store, and how it is named."""


@pytest.fixture
def line(store: Store, tmp_path: Path) -> ProvenLine:
    return ProvenLine(store, tmp_path / "line")


@pytest.fixture
def meddle(home: Path) -> Callable[[str], None]:
    """Runs SQL past the store."""

    def run(statement: str) -> None:
        with sqlite3.connect(home / "continuum.db") as connection:
            assert connection.execute(statement).rowcount >= 1
        connection.close()

    return run


def verified(line: ProvenLine) -> Verified:
    found = require_proof(line.store, line.candidate)
    assert found is not None
    return found


def test_what_nobody_altered_holds_from_the_interactions_to_the_verdict(line: ProvenLine) -> None:
    found = verified(line)

    assert [checked.link.title.replace(str(line.base), "BASE") for checked in found.links] == [
        "interactions of support_training_v1",
        "dataset support_training_v1",
        "interactions of support_training_v2",
        "dataset support_training_v2",
        "interactions of support_golden_v1",
        "golden dataset support_golden_v1",
        "base model BASE",
        "checkpoint support-v1",
        "checkpoint support-v2",
        "verdict verdict-2",
    ]
    assert all(checked.against for checked in found.links)
    assert (found.tombstones, found.absent, found.signed_by) == ((), 0, None)


@pytest.mark.parametrize(("file", "named"), UPSTREAM_FILES, ids=[file for file, _ in UPSTREAM_FILES])
def test_a_file_upstream_is_named_when_one_bit_of_it_turns_or_it_goes(line: ProvenLine, file: str, named: str) -> None:
    path = line.folder / file
    held = path.read_bytes()
    path.write_bytes(held[:-3] + bytes([held[-3] ^ 1]) + held[-2:])
    with pytest.raises(ProofBroken, match=f"{named}.*was altered"):
        verified(line)
    path.unlink()
    with pytest.raises(ProofBroken, match="is missing"):
        verified(line)


@pytest.mark.parametrize(("statement", "named"), UPSTREAM_ROWS, ids=[statement[:60] for statement, _ in UPSTREAM_ROWS])
def test_a_row_upstream_that_was_altered_past_the_store_is_named(
    line: ProvenLine, meddle: Callable[[str], None], statement: str, named: str
) -> None:
    meddle(statement)
    with pytest.raises(ProofBroken, match=named):
        verified(line)


def test_a_file_that_was_added_to_a_model_is_named(line: ProvenLine) -> None:
    (line.base / "generation_config.json").write_text("{}")
    with pytest.raises(ProofBroken, match=r"base model .*generation_config.json was added"):
        verified(line)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_proof_with_any_bit_turned_is_no_proof(line: ProvenLine, at: float, bit: int) -> None:
    held = line.proof_file.read_bytes()
    place = int(at * len(held))
    try:
        line.proof_file.write_bytes(held[:place] + bytes([held[place] ^ 1 << bit]) + held[place + 1 :])
        with pytest.raises(ProofBroken):
            verified(line)
        with pytest.raises(ProofBroken):
            verify_folder(line.candidate.uri)
    finally:
        line.proof_file.write_bytes(held)


def test_the_broken_link_of_a_proof_is_named(line: ProvenLine) -> None:
    whole = json.loads(line.proof_file.read_text())
    whole["links"][1]["content"]["files"]["examples.parquet"] = "0" * 64
    line.proof_file.write_text(json.dumps(whole, indent=1, sort_keys=True) + "\n")
    with pytest.raises(ProofBroken, match=r"dataset support_training_v1: what proof.json says of it was altered"):
        verified(line)


def test_a_proof_written_in_another_form_is_not_the_proof(line: ProvenLine) -> None:
    line.proof_file.write_text(json.dumps(json.loads(line.proof_file.read_text())))
    with pytest.raises(ProofBroken, match="not in the form it was written in"):
        verified(line)


def test_a_chain_without_one_of_its_links_does_not_hold_though_its_hashes_agree(line: ProvenLine) -> None:
    proof = verified(line).proof
    for left_out in range(len(proof.links)):
        links = tuple(link for n, link in enumerate(proof.links) if n != left_out)
        shorter = Proof(proof.task, proof.model, proof.checkpoint_id, proof.verdict_id, proof.made_at, links)
        line.proof_file.write_text(shorter.to_json())
        with pytest.raises(ProofBroken):
            verified(line)


def test_a_proof_that_says_what_no_proof_says_is_refused_and_named(line: ProvenLine) -> None:
    proof = verified(line).proof
    for content in ({}, {"rows": [{"row": 5}], "absent": None}, {"rows": 3}):
        link = Link("interactions", "support_training_v1", content)
        holding = Link("dataset", "support_training_v1", {"id": "x"}, (link.digest,))
        made_up = Proof(proof.task, proof.model, proof.checkpoint_id, proof.verdict_id, proof.made_at, (link, holding))
        line.proof_file.write_text(made_up.to_json())
        with pytest.raises(ProofBroken, match="interactions of support_training_v1"):
            verified(line)


def test_the_proof_of_another_model_is_refused(line: ProvenLine) -> None:
    other = Path(line.parent.uri) / "proof.json"
    line.proof_file.write_bytes(other.read_bytes())
    with pytest.raises(ProofBroken, match="is that of support-v1"):
        verified(line)


def test_the_proof_of_the_parent_is_part_of_it(line: ProvenLine) -> None:
    path = Path(line.parent.uri) / "proof.json"
    held = path.read_bytes()
    path.write_bytes(held.replace(b"verdict-1", b"verdict-9"))
    with pytest.raises(ProofBroken, match="checkpoint support-v1: the proof in"):
        verified(line)
    path.unlink()
    with pytest.raises(ProofBroken, match="proof of its verdict verdict-1 is missing"):
        verified(line)


def test_a_second_verdict_replaces_the_proof_and_the_first_is_found_by_its_verdict(line: ProvenLine) -> None:
    first = verified(line).proof

    line.judged("verdict-3")

    assert verified(line).proof.verdict_id == "verdict-3"
    assert read_proof(line.candidate.uri, "verdict-2") == first
    assert read_proof(line.candidate.uri, "verdict-9") is None


def test_a_second_verdict_on_the_parent_leaves_the_candidates_proof_whole(line: ProvenLine) -> None:
    again = line.first_verdict.model_copy(update={"id": "verdict-1b", "created_at": NOON + timedelta(hours=1)})
    line.store.verdicts.add(again)
    prove(line.store, again)

    assert verified(line).proof.verdict_id == "verdict-2"


def test_the_same_verdict_proven_again_gives_the_same_chain(line: ProvenLine) -> None:
    first = verified(line).proof
    assert build_proof(line.store, line.verdict, now=lambda: NOON) == first


def test_what_is_said_of_an_interaction_later_changes_nothing(line: ProvenLine) -> None:
    line.store.feedback.add([Feedback(interaction_id="i0", score=1), Feedback(interaction_id="chat-5", score=2)])
    line.store.annotations.add([Annotation(interaction_id="i5", task="support", judge="another", rubric="r")])

    assert verified(line).proof.verdict_id == "verdict-2"


def test_an_erased_row_leaves_a_tombstone_and_the_proof_holds(line: ProvenLine) -> None:
    stated = verified(line).proof.links[0].content["rows"]

    assert erase(line.store, ["i0", "i8"], now=lambda: NOON) == 2

    found = verified(line)
    assert [stone.dataset for stone in found.tombstones] == ["support_training_v1", "support_training_v2", "support_training_v2"]
    assert found.tombstones[0].erased_at == "2026-03-01T12:00:00.000000+00:00"
    assert found.tombstones[0].commitment in {entry["row"] for entry in stated}
    assert not line.store.commitments.of([found.tombstones[0].commitment])


def test_a_row_that_was_erased_before_a_proof_is_counted_in_it(line: ProvenLine) -> None:
    erase(line.store, ["i0"])

    line.judged("verdict-3")

    found = verified(line)
    assert (found.absent, found.tombstones) == (2, ())


def test_a_tombstone_does_not_excuse_a_row_that_is_still_there(line: ProvenLine, meddle: Callable[[str], None]) -> None:
    meddle(
        "INSERT INTO tombstones (commitment, task, erased_at) "
        "SELECT commitment, task, '2026-03-01 12:00:00.000000' FROM commitments WHERE interaction_id = 'i3'"
    )
    meddle("DELETE FROM commitments WHERE interaction_id = 'i3'")
    with pytest.raises(ProofBroken, match=r"interaction i3 .*still in the store"):
        verified(line)


def test_a_row_that_was_altered_since_it_was_first_proven_is_not_proven_again(
    line: ProvenLine, meddle: Callable[[str], None]
) -> None:
    meddle("UPDATE interactions SET cost_usd = 1 WHERE id = 'i0'")
    with pytest.raises(ProofBroken, match="interaction i0"):
        line.judged("verdict-3")


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("DELETE FROM datasets WHERE name = 'support_training_v1'", "dataset"),
        ("DELETE FROM datasets WHERE kind = 'golden'", "dataset"),
        ("DELETE FROM checkpoints WHERE id = 'c1'", "checkpoint c1 is not in the store"),
        ("UPDATE checkpoints SET manifest = '{}' WHERE id = 'c2'", "not the manifest that the store holds"),
        ("UPDATE datasets SET uri = 'nowhere' WHERE name = 'support_training_v2'", "nowhere"),
    ],
)
def test_what_rests_on_something_missing_cannot_be_proven(
    line: ProvenLine, meddle: Callable[[str], None], statement: str, named: str
) -> None:
    meddle(statement)
    with pytest.raises(StoreError, match=named):
        prove(line.store, line.verdict)


def test_rows_that_are_not_the_fingerprints_are_not_proven(line: ProvenLine) -> None:
    other = line.folder / "support_training_v1" / "examples.parquet"
    other.write_bytes((line.folder / "support_training_v2" / "examples.parquet").read_bytes())
    with pytest.raises(ProofBroken, match=r"dataset support_training_v1: .*is not what was written"):
        prove(line.store, line.verdict)


def test_questions_of_ones_own_are_kept_and_held_like_any_golden_set(line: ProvenLine, home: Path) -> None:
    own = GoldenDataset.from_items("support", [{"question": f"Is parcel {n} late?", "reference": "No."} for n in range(3)])
    verdict = line.verdict.model_copy(update={"id": "verdict-own", "golden_id": own.fingerprint})
    line.store.verdicts.add(verdict)
    with pytest.raises(ProofBroken, match="dataset"):
        prove(line.store, verdict)

    for _ in range(2):
        prove(line.store, verdict, golden=own)

    found = verified(line)
    assert (found.absent, found.own) == (0, 3)
    (told,) = (one.against for one in found.links if one.link.title == f"interactions of {own.name}")
    assert told.endswith("; 3 own questions, not from traffic")
    (kept,) = (home / "datasets" / "support").glob("*/golden*.parquet")
    assert [one.against for one in found.links if one.link.kind == "golden dataset"] == ["2 files of the copy that was kept"]
    kept.write_bytes(kept.read_bytes()[:-1] + b"x")
    with pytest.raises(ProofBroken, match=f"golden dataset {own.name}: the file {kept.name}"):
        verified(line)
    with pytest.raises(ProofBroken, match="no copy of it could be kept"):
        prove(line.store, verdict, golden=own)


def test_a_proof_is_read_alone_without_the_store(line: ProvenLine) -> None:
    line.store.close()

    found = verify_folder(line.candidate.uri)

    held = [checked.link.title for checked in found.links if checked.against]
    assert held == ["checkpoint support-v2"]
    path = Path(line.candidate.uri) / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(ProofBroken, match=r"adapter_model.safetensors of support-v2"):
        verify_folder(line.candidate.uri)


def test_a_proof_holds_on_postgres_and_names_what_was_altered_there(postgres_url: str, tmp_path: Path) -> None:
    store = open_store(postgres_url)
    line = ProvenLine(store, tmp_path / "line")
    erase(store, ["i0"])
    assert len(verified(line).tombstones) == 2
    with store.engine.begin() as connection:
        connection.execute(update(checkpoints).where(checkpoints.c.id == "c1").values(metrics={"loss": 0.25}))
    with pytest.raises(ProofBroken, match="row of checkpoint support-v1"):
        verified(line)
    store.close()


def test_a_proof_says_nothing_of_what_was_said(line: ProvenLine) -> None:
    text = line.proof_file.read_text()
    assert "parcel" not in text
    assert not any(f'"{one.id}"' in text for one in line.store.interactions.scan("support"))
    assert an_interaction().id not in text


def test_a_checkpoint_without_a_proof_has_none(line: ProvenLine) -> None:
    line.proof_file.unlink()
    assert require_proof(line.store, line.candidate) is None
    with pytest.raises(ProofBroken, match=r"there is no proof.json"):
        verify_folder(line.candidate.uri)
