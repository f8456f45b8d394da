import itertools
import json
from collections.abc import Iterator
from datetime import timedelta

import numpy as np
import pytest

from continuum.annotation.audit import draw_audit
from continuum.ids import new_id
from continuum.judging.calibration import Calibration, asked_ratings, calibrate, whole
from continuum.records import Annotation, Feedback, Interaction, Label
from continuum.store.database import Store, open_store
from tests.builders import NOON, interactions

SOON = NOON + timedelta(hours=1)


@pytest.fixture(params=["sqlite", "postgres"])
def either(request: pytest.FixtureRequest, store: Store) -> Iterator[Store]:
    """The store on each database."""
    if request.param == "sqlite":
        yield store
        return
    opened = open_store(request.getfixturevalue("postgres_url"))
    yield opened
    opened.close()


class Traffic:
    """A task whose answers have a quality that people see, and a judge who adds to it."""

    def __init__(self, store: Store, count: int, *, bias: float = 0.4, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.store, self.task = store, f"support-{new_id()}"
        self.rows = interactions(count, task=self.task)
        # Ids that a run does not change, so that the same are drawn in each.
        self.rows = [row.model_copy(update={"id": f"{self.task[-6:]}-{n}"}) for n, row in enumerate(self.rows)]
        people = rng.integers(1, 6, count)
        self.people = dict(zip((row.id for row in self.rows), people.tolist(), strict=True))
        noisy = np.clip(people + bias + rng.normal(0, 0.5, count), 1, 5)
        self.judge = dict(zip((row.id for row in self.rows), noisy.tolist(), strict=True))
        store.tasks.ensure(self.task)
        store.interactions.add(self.rows)
        store.annotations.add(self.annotation(row) for row in self.rows)

    def annotation(self, row: Interaction, **fields: object) -> Annotation:
        values = {"overall": self.judge[row.id], "created_at": SOON, "judge": "judge", "rubric": "r"}
        return Annotation(interaction_id=row.id, task=self.task, **(values | fields))  # type: ignore[arg-type]

    def asked(self, most: int | None = None, *, labeller: str = "anna", added: float = 0, **fields: object) -> int:
        """People answer the audit stream."""
        given = 0
        for asked in itertools.islice(self.store.reviews.of(self.task, "audit"), most):
            score = min(5, max(1, self.people[asked.review.interaction_id] + added))
            said = Feedback(interaction_id=asked.review.interaction_id, score=score, user_id=labeller)
            self.store.feedback.add([said])
            label = Label(review_id=asked.review.id, labeller=labeller, feedback_id=said.id, **fields)  # type: ignore[arg-type]
            given += self.store.reviews.answer(label)
        return given

    def audited(self, rate: float) -> int:
        return draw_audit(self.store, self.task, [row.id for row in self.rows], rate, salt=self.task)

    def volunteered(self, rows: list[Interaction], score: float | None = None) -> None:
        self.store.feedback.add(
            Feedback(interaction_id=row.id, score=score or self.people[row.id], user_id=f"user-{row.id}") for row in rows
        )

    @property
    def truth(self) -> float:
        return sum(self.people.values()) / len(self.people)

    def calibration(self, **span: object) -> Calibration:
        return calibrate(self.store, self.task, judge="judge", rubric="r", **span)  # type: ignore[arg-type]


def test_without_thirty_audit_labels_a_score_is_uncalibrated_and_says_so(store: Store) -> None:
    traffic = Traffic(store, 200)
    traffic.audited(1.0)
    traffic.asked(12)

    found = traffic.calibration()

    assert (found.status, found.quality, found.audit_labels) == ("uncalibrated", None, 12)
    assert found.words() == f"{found.judge_mean:.2f}, uncalibrated: 12 of 30 audit labels"


def test_audit_labels_put_a_biased_judge_right(either: Store) -> None:
    traffic = Traffic(either, 600)
    drawn = traffic.audited(0.15)
    assert traffic.asked() == drawn

    found = traffic.calibration()

    assert found.quality is not None
    assert found.judge_mean is not None
    assert found.judge_mean - traffic.truth > 0.2
    assert found.quality.low <= traffic.truth <= found.quality.high
    assert found.quality.population == 600
    assert found.words() == (
        f"{found.quality.mean:.2f} ({found.quality.low:.2f}-{found.quality.high:.2f}, calibrated on {drawn} audit labels)"
    )


def test_what_people_volunteered_shows_agreement_and_never_enters_the_mean(store: Store) -> None:
    traffic = Traffic(store, 400)
    traffic.audited(0.1)
    traffic.asked()
    before = traffic.calibration().quality

    # Only the angry speak up, about a quarter of all.
    traffic.volunteered(sorted(traffic.rows, key=lambda row: traffic.people[row.id])[:100], score=1)
    found = traffic.calibration()

    assert found.quality == before
    assert found.agreement is not None
    assert found.agreement.interactions == 100


def test_agreement_stands_beside_the_constant_predictor_and_leaves_the_audit_out(store: Store) -> None:
    traffic = Traffic(store, 300, bias=0.0)
    drawn = traffic.audited(0.2)
    traffic.asked()
    assert traffic.calibration().agreement is None

    traffic.volunteered(traffic.rows[:150])
    found = traffic.calibration().agreement

    assert drawn > 0
    assert found is not None
    assert found.interactions == 150
    assert 0.4 < found.kappa < found.weighted_kappa < 1
    assert found.constant_kappa == 0
    assert found.constant_equal < 0.35 < found.equal
    assert found.weighted_kappa_interval[0] < found.weighted_kappa < found.weighted_kappa_interval[1]


def test_answers_given_after_the_judges_word_was_seen_do_not_count(store: Store) -> None:
    traffic = Traffic(store, 100)
    traffic.audited(1.0)
    traffic.asked(50, informed=True)

    found = traffic.calibration()

    assert found.audit_labels == 0
    assert found.agreement is None


def test_several_labellers_of_one_answer_are_one_label(store: Store) -> None:
    traffic = Traffic(store, 40)
    traffic.audited(1.0)
    for labeller, added in (("anna", 0), ("ben", 0), ("cleo", 4)):
        traffic.asked(labeller=labeller, added=added)

    assert {one: rating.score for one, rating in asked_ratings(store, traffic.task, "audit").items()} == traffic.people
    assert traffic.calibration().audit_labels == 40


def test_what_else_was_said_of_an_audited_answer_is_not_the_audits(store: Store) -> None:
    traffic = Traffic(store, 40)
    traffic.audited(1.0)
    traffic.volunteered(traffic.rows, score=1)
    traffic.asked()

    assert {one: rating.score for one, rating in asked_ratings(store, traffic.task, "audit").items()} == traffic.people


def test_who_passed_gave_no_label(store: Store) -> None:
    traffic = Traffic(store, 40)
    traffic.audited(1.0)
    for asked in store.reviews.of(traffic.task, "audit"):
        store.reviews.answer(Label(review_id=asked.review.id, labeller="anna"))

    assert traffic.calibration().audit_labels == 0


def test_suspected_injections_and_unreadable_judgements_are_out_on_both_sides_and_counted(store: Store) -> None:
    traffic = Traffic(store, 200)
    extra = interactions(30, task=traffic.task, conversation_id="odd")
    store.interactions.add(extra)
    statuses = ["suspected_injection"] * 20 + ["unparseable"] * 10
    traffic.people |= {row.id: 1 for row in extra}
    store.annotations.add(
        traffic.annotation(row, overall=None, status=status)
        for row, status in zip((row.model_copy() for row in extra), statuses, strict=True)
        if traffic.judge.setdefault(row.id, 5.0)
    )
    traffic.rows += extra
    traffic.audited(1.0)
    traffic.asked()

    found = traffic.calibration()

    assert (found.judged, found.audit_labels) == (200, 200)
    assert found.left_out == {"suspected_injection": 20, "unparseable": 10}


def test_another_judge_another_rubric_and_another_time_are_other_matters(store: Store) -> None:
    traffic = Traffic(store, 60)
    store.annotations.add(traffic.annotation(row, judge="other", role="second", overall=1.0) for row in traffic.rows)

    assert traffic.calibration().judged == 60
    assert traffic.calibration(since=traffic.rows[40].started_at).judged == 20
    assert traffic.calibration(until=traffic.rows[40].started_at).judged == 40
    assert calibrate(store, traffic.task, judge="judge", rubric="another").words() == (
        "no score, uncalibrated: 0 of 30 audit labels"
    )
    assert calibrate(store, traffic.task, judge="other", rubric="r").judged == 0


def test_many_labels_of_few_conversations_do_not_calibrate(store: Store) -> None:
    traffic = Traffic(store, 1)
    rows = [row for n in range(4) for row in interactions(20, task=traffic.task, conversation_id=f"talk-{n}")]
    store.interactions.add(rows)
    traffic.people |= {row.id: 4 for row in rows}
    traffic.judge |= {row.id: 4.5 for row in rows}
    store.annotations.add(traffic.annotation(row) for row in rows)
    traffic.rows = rows
    traffic.audited(1.0)
    traffic.asked()

    assert traffic.calibration().words().endswith("uncalibrated: 80 audit labels, of fewer than 10 conversations")


def test_a_report_can_be_stored(store: Store) -> None:
    traffic = Traffic(store, 100)
    traffic.audited(0.5)
    traffic.asked()

    shown = json.loads(json.dumps(traffic.calibration().as_dict()))

    assert shown["words"] == traffic.calibration().words()
    assert shown["quality"]["labels"] == shown["audit_labels"]


@pytest.mark.parametrize(("score", "nearest"), [(1.0, 1), (2.5, 3), (4.49, 4), (5.0, 5)])
def test_whole_scores(score: float, nearest: int) -> None:
    assert whole(score) == nearest
