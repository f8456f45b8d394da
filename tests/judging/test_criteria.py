import pytest

from continuum.judging.criteria import BUILT_IN, overall, rubric_fingerprint
from continuum.rubric import DEFAULT_CRITERIA, Criterion


def test_the_overall_score_is_the_weighted_mean() -> None:
    scores = {"helpfulness": 5.0, "accuracy": 4.0, "conciseness": 3.0, "tone": 1.0}
    assert overall(scores, DEFAULT_CRITERIA) == pytest.approx(0.4 * 5 + 0.3 * 4 + 0.2 * 3 + 0.1)


def test_weights_need_not_sum_to_one() -> None:
    assert overall({"a": 1, "b": 5}, [Criterion("a", 2, "x"), Criterion("b", 6, "y")]) == 4


def test_a_criterion_without_a_score_leaves_its_weight_to_the_others() -> None:
    assert overall({"helpfulness": 5.0, "tone": 1.0}, DEFAULT_CRITERIA) == pytest.approx((0.4 * 5 + 0.1) / 0.5)


def test_without_any_score_there_is_no_overall_score() -> None:
    with pytest.raises(KeyError, match="has a score"):
        overall({"charm": 5.0}, DEFAULT_CRITERIA)


def test_any_word_of_a_rubric_changes_its_fingerprint_and_the_order_does_not() -> None:
    rubric = [Criterion("a", 0.5, "first"), Criterion("b", 0.5, "second")]
    same = rubric_fingerprint(rubric)
    assert rubric_fingerprint(rubric[::-1]) == same
    changed = [
        [Criterion("a", 0.5, "First"), rubric[1]],
        [Criterion("a", 0.6, "first"), rubric[1]],
        [Criterion("a", 0.5, "first", {5: "all of it"}), rubric[1]],
        rubric[:1],
    ]
    assert len({same, *map(rubric_fingerprint, changed)}) == 5


def test_the_criteria_of_the_readme_are_known_by_name() -> None:
    assert {"helpfulness", "accuracy", "conciseness", "tone", "safety"} <= set(BUILT_IN)
