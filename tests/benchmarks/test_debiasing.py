import json
from pathlib import Path

from benchmarks.judging.debiasing import World, covered, drift_share, gamed_share, rate_changes, real


def test_coverage_is_counted_for_each_way() -> None:
    found = covered(World("made up", None), 100, 0.8, 0.4, 40, 0)

    assert found.trials == 40
    assert found.powered >= 35
    assert found.judge_only == 0
    assert found.cells("made up", 100)[1] == "r 0.80, +0.40"


def test_recorded_probabilities_make_the_difference_where_the_rate_changed() -> None:
    weighted, plain = rate_changes(40, 0)

    assert weighted >= 0.85 > 0.6 > plain


def test_alarms_are_counted_where_they_are_due_and_where_not() -> None:
    assert gamed_share(20, 0, better=0.5) == 0
    assert gamed_share(20, 0, better=-0.3, longer=0.8) == 1
    assert drift_share(20, 0, 1.0) == 1


def test_human_verdicts_are_read_with_their_conversations(tmp_path: Path) -> None:
    rows = [{"id": f"r{n}", "conversation_id": f"c{n // 4}", "feedback": {"score": 5}} for n in range(500)]
    (tmp_path / "many.jsonl").write_text("\n".join(map(json.dumps, [*rows, {"id": "unrated", "feedback": None}])), "utf-8")
    (tmp_path / "few.jsonl").write_text(json.dumps(rows[0]), "utf-8")

    (world,) = real(tmp_path)

    assert (world.name, len(world.scores(None)), world.groups[:2]) == ("many", 500, ["c0", "c0"])  # type: ignore[arg-type,index]
    assert list(real(None)) == []
