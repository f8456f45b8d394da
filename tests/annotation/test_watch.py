import json
from datetime import datetime, timedelta

import numpy as np
import pytest

from continuum.annotation.audit import draw_audit, second_sample
from continuum.annotation.watch import GoodhartReport, goodhart
from continuum.policy import JudgePolicy, SecondJudge, SplitPolicy, TaskPolicy
from continuum.records import Annotation, DatasetRecord, Feedback, Label
from continuum.serving_records import DeploymentEvent, DeploymentRecord
from continuum.store.database import Store
from continuum.store.judging_tables import labels
from continuum.store.scores import Scores
from tests.builders import NOON, interactions

DAY = timedelta(days=1)


def noon(day: float) -> object:
    return lambda: NOON + day * DAY


class Loop:
    """A task whose model is trained on what a judge likes, who likes long answers; people and a second judge do not."""

    def __init__(self, store: Store, seed: int = 0, *, audit: float = 0.3, second: float = 0.3) -> None:
        self.store, self.rng = store, np.random.default_rng(seed)
        self.audit, self.second = audit, second
        self.day = 0.0
        judge = JudgePolicy(second=SecondJudge(sample_rate=second))
        store.tasks.register(TaskPolicy(task="support", judge=judge, splits=SplitPolicy(salt="s")))

    def traffic(self, days: float, *, better: float = 0.0, longer: float = 0.0, count: int = 400, talk: int = 1) -> None:
        """So many days of traffic: each answer with its quality and its length."""
        times = [NOON + (self.day + days * n / count) * DAY for n in range(count)]
        rows = [
            row.model_copy(
                update={
                    "id": f"{self.day:g}-{n}",
                    "started_at": times[n],
                    "conversation_id": f"talk-{self.day:g}-{n // talk}",
                }
            )
            for n, row in enumerate(interactions(count))
        ]
        self.store.interactions.add(rows)
        quality = 3.3 + better + np.repeat(self.rng.normal(0, 0.9, count // talk), talk)
        first = np.clip(quality + self.rng.normal(longer, 0.4, count), 1, 5)
        people, second = (np.clip(np.round(quality + self.rng.normal(0, 0.5, count)), 1, 5) for _ in range(2))
        self.annotate([row.id for row in rows], first.tolist(), "judge", "selecting", times[-1])
        seconds = set(second_sample((row.id for row in rows), self.second, "s"))
        places = [n for n, row in enumerate(rows) if row.id in seconds]
        self.annotate([rows[n].id for n in places], second[places].tolist(), "other", "second", times[-1])
        draw_audit(self.store, "support", [row.id for row in rows], self.audit, salt="s")
        self.label({row.id: float(score) for row, score in zip(rows, people, strict=True)})
        self.day += days

    def annotate(self, ids: list[str], scores: list[float], judge: str, role: str, at: datetime) -> None:
        self.store.annotations.add(
            Annotation(
                interaction_id=one, task="support", judge=judge, rubric="r", role=role, overall=score, created_at=at,  # type: ignore[arg-type]
            )
            for one, score in zip(ids, scores, strict=True)
        )  # fmt: skip

    def label(self, people: dict[str, float]) -> None:
        asked = [one.review for one in self.store.reviews.of("support", "audit") if one.review.interaction_id in people]
        said = [Feedback(interaction_id=one.interaction_id, score=people[one.interaction_id], user_id="anna") for one in asked]
        self.store.feedback.add(said)
        self.store.reviews.insert_all(
            labels, (Label(review_id=one.id, labeller="anna", feedback_id=its.id) for one, its in zip(asked, said, strict=True))
        )

    def deploys(self, name: str = "support-v1") -> None:
        deployment = DeploymentRecord(
            task="support", checkpoint_id="c", model=name, stable_model="production", created_at=NOON + self.day * DAY
        )
        self.store.deployments.add(deployment, DeploymentEvent(deployment_id=deployment.id, actor="test", action="deploy"))

    def report(self, **options: object) -> GoodhartReport:
        return goodhart(self.store, "support", now=noon(self.day), **options)  # type: ignore[arg-type]


@pytest.fixture
def loop(store: Store) -> Loop:
    return Loop(store)


def test_a_judge_that_is_gamed_is_found_out_with_the_evidence(loop: Loop) -> None:
    loop.traffic(20)
    loop.deploys()
    loop.traffic(10, longer=0.7, better=-0.3)

    found = loop.report()

    assert found.alarm
    assert found.change == "the deployment of support-v1 on 2026-03-21"
    assert found.selecting is not None
    assert found.selecting.low > 0.1
    assert {witness.name: witness.alarm for witness in found.witnesses} == {"people": True, "other": True}
    assert all(witness.found and witness.found.witness.rise < 0 < witness.found.expected for witness in found.witnesses)
    assert found.words().startswith("alarm: judge moved by +0.")
    assert json.loads(json.dumps(found.as_dict()))["alarm"] is True


def test_one_witness_is_enough_where_the_second_judge_is_fooled_as_well(store: Store) -> None:
    loop = Loop(store, second=0.0)
    for longer, better in ((0.0, 0.0), (0.7, -0.3)):
        loop.traffic(20, longer=longer, better=better)
        if not longer:
            loop.deploys()

    found = loop.report()

    assert found.alarm
    assert [witness.name for witness in found.witnesses] == ["people"]


def test_answers_that_became_better_raise_no_alarm(loop: Loop) -> None:
    loop.traffic(20)
    loop.deploys()
    loop.traffic(10, better=0.5)

    found = loop.report()

    assert found.status == "quiet"
    assert found.selecting is not None
    assert found.selecting.low > 0.1
    assert "people moved by +0." in found.words()


def test_what_was_referred_to_the_second_judge_is_no_witness(loop: Loop) -> None:
    """Curation refers what the first judge scored low: there the second one scores higher, and more so after the change."""
    loop.traffic(20)
    loop.deploys()
    loop.traffic(10, longer=0.7, better=-0.3)
    before = loop.report()
    newest = Scores(loop.store.engine)
    said = {one.interaction_id for one in newest.of("support", judge="other", rubric="r", role="second")}
    first = {one.interaction_id: one.overall or 0.0 for one in newest.of("support", judge="judge", rubric="r")}
    referred = [one for one in first if one not in said and first[one] < 3.5]
    scores = [min(5.0, first[one] + (0.0 if one.startswith("0-") else 2.0)) for one in referred]

    loop.annotate(referred, scores, "other", "second", NOON + loop.day * DAY)

    assert len(referred) > 100
    assert loop.report() == before
    assert before.alarm


def test_nothing_new_raises_no_alarm(loop: Loop) -> None:
    loop.traffic(20)
    loop.deploys()
    loop.traffic(10)

    assert loop.report().status == "quiet"


def test_without_witnesses_it_says_what_is_missing(store: Store) -> None:
    loop = Loop(store, audit=0.01, second=0.01)
    loop.traffic(20)
    loop.deploys()
    loop.traffic(10, longer=0.7)

    found = loop.report()

    assert found.status == "not enough"
    assert "20 are needed on each side" in found.words()


def test_a_task_that_nobody_judged_says_so(store: Store) -> None:
    store.tasks.ensure("support")

    assert goodhart(store, "support").words() == "not enough: nobody has judged"


def test_a_change_with_too_little_after_it_leaves_the_word_to_the_one_before(loop: Loop) -> None:
    loop.traffic(20)
    loop.deploys("support-v1")
    loop.traffic(10, longer=0.7, better=-0.3)
    loop.deploys("support-v2")
    loop.traffic(0.1, count=5)

    found = loop.report()

    assert found.alarm
    assert found.change.startswith("the deployment of support-v1")


def test_a_dataset_is_a_change_and_without_any_the_last_days_are_compared(loop: Loop) -> None:
    loop.traffic(16)
    loop.traffic(14, longer=0.7, better=-0.3)
    assert loop.report().change == "the beginning of the last fortnight on 2026-03-17"
    assert loop.report().alarm

    created = NOON + 16 * DAY
    fields = {"id": "d", "task": "support", "name": "support_training_v1", "version": 1, "uri": "", "manifest": {}}
    loop.store.datasets.add(DatasetRecord(**fields, created_at=created), [])
    assert loop.report().change == "dataset support_training_v1 on 2026-03-17"


def test_the_split_can_be_given(loop: Loop) -> None:
    loop.traffic(20)
    loop.traffic(20, longer=0.7, better=-0.3)

    found = loop.report(split=NOON + 20 * DAY)

    assert found.alarm
    assert found.change == "the split on 2026-03-21"


def test_a_few_long_conversations_are_few(loop: Loop) -> None:
    loop.traffic(20, talk=40)
    loop.deploys()
    loop.traffic(10, longer=0.7, talk=40)

    assert loop.report().status == "not enough"


@pytest.mark.slow
def test_over_many_worlds_the_gamed_are_found_and_the_honest_left_in_peace(store: Store) -> None:
    alarms: dict[str, list[bool]] = {"gamed": [], "honest": [], "idle": []}
    worlds = {"gamed": {"longer": 0.7, "better": -0.2}, "honest": {"better": 0.4}, "idle": {}}
    for seed in range(6):
        for world, after in worlds.items():
            store.drop_task("support")
            loop = Loop(store, seed)
            loop.traffic(20)
            loop.traffic(10, **after)
            alarms[world].append(loop.report(split=NOON + 20 * DAY).alarm)

    assert sum(alarms["honest"]) + sum(alarms["idle"]) == 0
    assert sum(alarms["gamed"]) >= 5
