from continuum.curation.quality import rate, score_histogram
from continuum.records import Annotation, Feedback, Message
from tests.builders import NOON, an_interaction

JUDGED = Annotation(interaction_id="a", task="support", judge="gpt-4", rubric="r", overall=2.5)


def said(**fields: object) -> Feedback:
    return Feedback(interaction_id="a", recorded_at=NOON, **fields)


def test_people_come_before_the_judge() -> None:
    rated = rate(an_interaction(), [said(score=4.5)], JUDGED)

    assert rated is not None
    assert (rated.score, rated.score_source) == (4.5, "human")


def test_the_judge_speaks_where_people_did_not() -> None:
    rated = rate(an_interaction(), [said(comment="hm")], JUDGED)

    assert rated is not None
    assert (rated.score, rated.score_source) == (2.5, "judge")


def test_a_correction_replaces_the_answer_and_is_right() -> None:
    rated = rate(an_interaction(), [said(score=1, correction="Tuesday.")], JUDGED)

    assert rated is not None
    assert (rated.response, rated.score, rated.score_source) == (Message(role="assistant", content="Tuesday."), 5.0, "correction")


def test_an_empty_answer_can_be_corrected_and_not_learned() -> None:
    empty = an_interaction(answer="")

    assert rate(empty, [said(score=5)], None) is None
    assert rate(empty, [said(correction="Tuesday.")], None) is not None


def test_without_a_score_there_is_nothing_to_say() -> None:
    unparseable = Annotation(interaction_id="a", task="support", judge="gpt-4", rubric="r", status="unparseable")

    assert rate(an_interaction(), [], None) is None
    assert rate(an_interaction(), [], unparseable) is None


def test_the_histogram_has_all_five_levels() -> None:
    assert score_histogram([1.0, 4.5, 5.0, 3.4]) == {"1": 1, "2": 0, "3": 1, "4": 0, "5": 2}
