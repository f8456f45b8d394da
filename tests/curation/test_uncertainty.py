import numpy as np
import pytest

from continuum.curation import uncertainty
from continuum.curation.quality import Rated
from continuum.curation.uncertainty import Scored, predict_scores, uncertainty_of
from continuum.embedding.embedder import HashedEmbedder
from tests.builders import an_interaction


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def a_log(count: int = 400, seed: int = 0, *, noise: float = 0.3, people: float = 0.0) -> Scored:
    """Answers whose quality follows from a direction of question and answer, and scores that say so with some noise."""
    rng = np.random.default_rng(seed)
    question, answer = unit(rng.normal(size=(count, 16))), unit(rng.normal(size=(count, 16)))
    scores = np.clip(3.5 + 2 * question[:, 0] + 2 * answer[:, 0] + noise * rng.normal(size=count), 1, 5)
    return Scored(question, answer, scores, [f"dialogue-{n // 2}" for n in range(count)], rng.random(count) < people)


def test_question_and_answer_tell_what_score_to_expect() -> None:
    log = a_log()

    found = predict_scores(log)

    assert found.scores is not None
    assert found.explained > 0.6
    assert np.corrcoef(found.scores, log.scores)[0, 1] > 0.8


def test_no_row_and_no_row_of_its_dialogue_vouches_for_its_score() -> None:
    rng = np.random.default_rng(0)
    # Each dialogue is its own direction with its own score: whoever has seen half of it knows the other half.
    vectors = np.repeat(np.eye(100, dtype=np.float32), 2, axis=0)
    scores = np.repeat(rng.uniform(1, 5, 100), 2)
    nothing = np.zeros((200, 0), dtype=np.float32)

    leaking = predict_scores(Scored(vectors, nothing, scores, [str(n) for n in range(200)], np.zeros(200, bool)))
    sound = predict_scores(Scored(vectors, nothing, scores, [str(n // 2) for n in range(200)], np.zeros(200, bool)))

    assert leaking.explained > 0.2
    assert sound.scores is None


def test_where_the_judge_slipped_the_row_is_more_uncertain() -> None:
    log = a_log(noise=0.2)
    slipped = np.arange(0, 400, 20)
    scores = log.scores.copy()
    scores[slipped] = np.where(scores[slipped] > 3, scores[slipped] - 2, scores[slipped] + 2)
    judged = Scored(log.question, log.answer, scores, log.groups, log.settled)

    surprise = uncertainty_of(judged, np.arange(400), 3.5).surprise

    caught = set(np.argsort(-surprise)[:20].tolist()) & set(slipped.tolist())
    assert len(caught) >= 15


def test_rows_at_the_threshold_are_more_uncertain_than_those_far_from_it() -> None:
    log = a_log()
    found = uncertainty_of(log, np.arange(400), 3.5)
    near = np.abs(found.predicted - 3.5)

    assert found.value[near < 0.2].mean() > found.value[near > 1].mean() + 0.2


def test_a_persons_score_takes_the_middle_and_is_settled() -> None:
    log = a_log(people=0.3)

    found = uncertainty_of(log, np.arange(400), 3.5)

    assert (found.settled == log.settled).all()
    assert np.isnan(found.surprise[log.settled]).all()
    assert not np.isnan(found.surprise[~log.settled]).any()
    # Half of the value is the middle rank, the other half the closeness to the threshold.
    assert found.value[log.settled].min() >= 0.25
    assert found.value[log.settled].max() <= 0.75
    assert abs(found.value[log.settled].mean() - found.value[~log.settled].mean()) < 0.05
    assert found.evidence["by_people"] == log.settled.sum()


EQUAL = Scored(np.eye(60, dtype="f4"), np.eye(60, dtype="f4"), np.full(60, 4.0), [str(n) for n in range(60)], np.zeros(60, bool))


@pytest.mark.parametrize(
    ("log", "because"),
    [(a_log(20), "20 scored rows in 10 groups"), (EQUAL, "equal"), (a_log(noise=50.0), "tell nothing")],
    ids=["few", "equal", "noise"],
)
def test_without_a_prediction_every_row_is_as_uncertain_and_the_evidence_says_why(log: Scored, because: str) -> None:
    found = uncertainty_of(log, np.arange(10), 3.5)

    assert found.value.tolist() == [0.5] * 10
    assert because in found.evidence["predicted_by"]


def test_a_group_keeps_its_fold_whoever_else_there_is_so_order_and_machine_decide_nothing() -> None:
    log = a_log()
    order = np.random.default_rng(1).permutation(400)
    shuffled = Scored(
        log.question[order], log.answer[order], log.scores[order], [log.groups[row] for row in order], log.settled[order]
    )

    found, again = predict_scores(log), predict_scores(shuffled)

    assert found.scores is not None
    assert again.scores is not None
    assert (again.scores == found.scores[order]).all()


def test_more_rows_than_a_fit_takes_are_all_predicted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("continuum.curation.uncertainty.FIT_ROWS", 200)

    found = predict_scores(a_log(600))

    assert found.scores is not None
    assert found.explained > 0.5


def test_rated_interactions_become_rows() -> None:
    rated = [
        Rated(interaction, interaction.response, 4.0, source)
        for interaction, source in ((an_interaction(), "judge"), (an_interaction(), "human"), (an_interaction(), "correction"))
        if interaction.response is not None
    ]

    log = Scored.of(rated, {one.interaction.id: "g" for one in rated}, HashedEmbedder())

    assert log.settled.tolist() == [False, True, True]
    assert log.question.shape == log.answer.shape == (3, 384)


def test_rows_that_no_fit_would_learn_from_need_not_be_embedded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uncertainty, "FIT_ROWS", 120)
    rng = np.random.default_rng(4)
    question, answer = rng.normal(size=(600, 6)).astype(np.float32), rng.normal(size=(600, 6)).astype(np.float32)
    scores = np.clip(3 + question[:, 0] + 0.2 * rng.normal(size=600), 1, 5)
    groups, settled = [f"g{row // 3}" for row in range(600)], np.zeros(600, dtype=bool)
    whole = Scored(question, answer, scores, groups, settled)
    asked = np.arange(0, 600, 7)

    known = uncertainty.needed(groups, asked)
    part = Scored(question[known], answer[known], scores[known], [groups[row] for row in known], settled[known])

    assert len(asked) < len(known) < 260
    everything = uncertainty_of(whole, asked, 3.5)
    enough = uncertainty_of(part, np.searchsorted(known, asked), 3.5)
    assert np.array_equal(enough.predicted, everything.predicted)
    assert np.array_equal(enough.value, everything.value)
