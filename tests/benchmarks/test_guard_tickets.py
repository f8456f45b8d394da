"""Three candidates of a log: what they learn, what is claimed of them, and a run so small that it shows nothing."""

from pathlib import Path

import pytest

from benchmarks.claims import Setting
from benchmarks.guard import tickets
from benchmarks.guard.tickets import BADLY_RATED, HONEST, METRICS, SHUFFLED, claims, shuffled, words_shared
from continuum.records import Example, Message, Verdict, VerdictStatus


def said(text: str) -> Message:
    """An assistant's words."""
    return Message(role="assistant", content=text)


def row(n: int) -> Example:
    """A question with its own answer."""
    return Example(
        interaction_id=str(n),
        messages=(Message(role="user", content=f"question {n}"),),
        response=said(f"answer {n}"),
        score=5.0,
        score_source="human",
        group=str(n),
        reason="a person rated it",
    )


def verdict(status: VerdictStatus) -> Verdict:
    """A verdict with this word."""
    return Verdict(
        task=tickets.TASK,
        checkpoint_id="c",
        baseline="champion",
        golden_id="g",
        status=status,
        approved=status == VerdictStatus.APPROVED,
        deltas={METRICS[0]: -0.1},
    )


def three(of_the_shuffled: VerdictStatus) -> dict[str, Verdict]:
    """An approved, an undecided and a third candidate."""
    found = (VerdictStatus.APPROVED, VerdictStatus.INCONCLUSIVE, of_the_shuffled)
    return {name: verdict(status) for name, status in zip((HONEST, BADLY_RATED, SHUFFLED), found, strict=True)}


def test_shuffling_leaves_every_question_and_every_answer_and_none_in_its_place():
    rows = [row(n) for n in range(12)]

    made = shuffled(rows, seed=3)

    assert [one.messages for one in made] == [one.messages for one in rows]
    assert sorted(one.response.text for one in made) == sorted(one.response.text for one in rows)
    assert not any(one.response == was.response for one, was in zip(made, rows, strict=True))


@pytest.mark.parametrize(
    ("answer", "share"),
    [("the hall opens at nine", 1.0), ("the hall opens", 0.75), ("no idea", 0.0), ("", 0.0)],
)
def test_an_answer_is_scored_by_the_words_it_shares_with_the_reference(answer: str, share: float):
    assert words_shared(said("the hall opens at nine"), said(answer)) == pytest.approx(share)


def test_a_shuffled_candidate_that_is_not_blocked_misses_its_goal_and_nothing_is_claimed_of_the_others():
    blocked, let_through = (claims(three(word), True) for word in (VerdictStatus.BLOCKED, VerdictStatus.INCONCLUSIVE))

    assert [entry.holds for entry in blocked] == [None, None, True]
    assert [entry.holds for entry in let_through] == [None, None, False]


def test_a_run_on_made_up_dialogues_claims_nothing():
    assert {entry.holds for entry in claims(three(VerdictStatus.APPROVED), False)} == {None}


@pytest.mark.slow
def test_three_candidates_go_through_the_guard_and_leave_their_reports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("CONTINUUM_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    setting = Setting(quick=True, folder=tmp_path, data=None, seed=0, say=lambda text: None)

    result = tickets.measure(setting)

    assert [name for entry in result.entries for name in (HONEST, BADLY_RATED, SHUFFLED) if f"the {name} " in entry.claim] == [
        HONEST,
        BADLY_RATED,
        SHUFFLED,
    ]
    (folder,) = tmp_path.glob("continuum-tickets-*")
    assert str(folder) in capsys.readouterr().err
    assert {file.name for file in folder.iterdir()} == {
        f"{name}.{kind}" for name in ("honest", "badly-rated", "shuffled") for kind in ("md", "html")
    }
