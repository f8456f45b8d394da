"""How it is told that a judge gave no score: how often, and why."""

import pytest

from continuum.errors import JudgeError
from continuum.judging.judge import Judgement
from continuum.judging.missing import missing_words
from continuum.models.budget import BudgetExhausted

DONE = Judgement("ok", {"tone": 4.0}, {}, 4.0)


def test_nothing_is_said_where_every_answer_has_a_score() -> None:
    assert missing_words("stars", [DONE, DONE]) is None
    assert missing_words("stars", []) is None


def test_the_commonest_causes_are_told_with_their_counts() -> None:
    timeouts = [JudgeError(f"model 'm' gave no answer in {n + 2} tries to {'question ' * n!r}: HTTP 503") for n in range(5)]
    others = [JudgeError("the body is no JSON")] * 2, [Judgement("unparseable")] * 2, [JudgeError("odd")], [JudgeError("rare")]

    words = missing_words("stars", [*timeouts, DONE, *(one for some in others for one in some)])

    assert words is not None
    assert words.startswith("11 of 12 answers got no score from judge 'stars': model 'm' gave no answer in 2 tries")
    assert "HTTP 503 (5); the body is no JSON (2); the judge gave no readable score (2); other causes (2)" in words


@pytest.mark.parametrize("outcome", [None, BudgetExhausted("all is spent")])
def test_what_was_not_paid_for_says_so(outcome: JudgeError | None) -> None:
    assert missing_words("stars", [DONE, outcome]) == (
        "1 of 2 answers got no score from judge 'stars': the budget does not pay for a judgement (1)"
    )


def test_a_cause_shows_no_secret_and_steers_no_terminal() -> None:
    words = missing_words("stars", [JudgeError("refused \x1b[31mkey sk-proj-Zx81kLm20QpRsT34uVwXyZ56 of jo@example.com")])

    assert words is not None
    assert "refused" in words
    assert not [secret for secret in ("\x1b", "Zx81kLm20", "jo@example") if secret in words]
