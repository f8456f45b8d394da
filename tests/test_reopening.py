"""Feedback that comes after the wheel has used what it is about: what it opens, and what closes it."""

import asyncio
import contextlib
import random
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from continuum.curation.curator import DataCurator
from continuum.curation.pool import read_traffic
from continuum.curation.reopened import Heard, listen, remember, settle
from continuum.dataset import Dataset
from continuum.errors import NotEnoughData
from continuum.flywheel import due, watch
from continuum.gathering import gather
from continuum.policy import CurationPolicy, SplitPolicy, TaskPolicy
from continuum.records import Checkpoint, DatasetRecord, Feedback, Interaction, Review, Verdict, VerdictStatus
from continuum.reopening import look
from continuum.signals.summary import summarise
from continuum.splits.sides import task_sides
from continuum.status import status_of
from continuum.store.database import Store
from continuum.store.reopenings import Open
from continuum.store.retention import erase
from continuum.timespan import utc_now
from tests.builders import NOON, interactions

DAY = timedelta(days=1)
QUICK = CurationPolicy(min_examples=2, target_size=100, only_new=True, control=False)
WHEELS = count()


@pytest.fixture
def store(either_store: Store) -> Store:
    """An empty store on each of the two databases."""
    return either_store


def at(moment: datetime) -> Callable[[], datetime]:
    return lambda: moment


class Line:
    """A task that is curated and learned from without a model: datasets are real, checkpoints are rows."""

    def __init__(self, store: Store, captured: int = 24, **fields: object) -> None:
        self.store = store
        self.policy = TaskPolicy(task="support", curation=QUICK, splits=SplitPolicy(golden=0.2), **fields)  # pyright: ignore[reportArgumentType]
        store.tasks.register(self.policy)
        self.rows = interactions(captured)
        store.interactions.add(self.rows, now=at(NOON))

    def says(self, interaction: Interaction, *, when: datetime, **said: object) -> Feedback:
        """A person gives a verdict, which reaches the store at once."""
        feedback = Feedback.model_validate({"interaction_id": interaction.id, "recorded_at": when, **said})
        self.store.feedback.add([feedback], now=at(when))
        return feedback

    async def curated(self, when: datetime) -> Dataset:
        return await DataCurator.for_task(self.policy, store=self.store).build("support", now=at(when))

    def learned(self, dataset: Dataset, *, approved: bool = True) -> Checkpoint:
        """A checkpoint that was trained on a dataset, and the guard's word on it."""
        version = self.store.checkpoints.next_version("support")
        parents = self.store.checkpoints.of("support")
        model = Checkpoint(
            id=f"c{version}",
            task="support",
            version=version,
            base_model="tiny",
            uri="nowhere",
            dataset_id=dataset.fingerprint,
            parent_id=parents[-1].id if parents else None,
        )
        status = VerdictStatus.APPROVED if approved else VerdictStatus.BLOCKED
        self.store.checkpoints.add(model)
        self.store.verdicts.add(
            Verdict(
                task="support", checkpoint_id=model.id, baseline="production", golden_id="g", status=status, approved=approved
            )
        )
        return model

    def side(self, name: str) -> list[Interaction]:
        """The interactions on one side."""
        sides = task_sides(self.store, self.policy)
        return [row for row in self.rows if sides.side[row.id] == name]


@pytest.fixture
def line(store: Store) -> Line:
    """Two dozen interactions of which every other one was praised, and the first training set, which was learned from."""
    line = Line(store)
    for row in line.rows[::2]:
        line.says(row, when=NOON, score=5)
    return line


# --- what is opened -------------------------------------------------------------------------------------------------


async def test_feedback_on_what_was_not_used_yet_opens_nothing(line: Line, store: Store) -> None:
    line.says(line.rows[1], when=NOON + DAY, score=1)

    assert look(store, now=at(NOON + DAY)).opened == {}
    assert store.reopenings.counts() == {}


async def test_what_the_training_set_read_is_not_late_however_close_it_came(line: Line, store: Store) -> None:
    when = NOON + timedelta(seconds=5)
    line.says(line.rows[1], when=when - timedelta(microseconds=1), score=5)

    line.learned(await line.curated(when))

    assert look(store, now=at(when)).opened == {}
    assert look(store, now=at(when + timedelta(minutes=1))).opened == {}


async def test_a_thumbs_down_takes_an_example_out_of_the_next_set_and_a_correction_brings_one_in(
    line: Line, store: Store
) -> None:
    first = await line.curated(NOON + DAY)
    line.learned(first)
    praised = [row for row in line.rows if row.id in {example.interaction_id for example in first}]
    silent = [row for row in line.side("train") if row not in praised][:3]
    line.says(praised[0], when=NOON + 2 * DAY, score=1)
    for row in silent:
        line.says(row, when=NOON + 2 * DAY, correction="It takes a week.")

    opened = look(store, now=at(NOON + 2 * DAY))
    second = await line.curated(NOON + 3 * DAY)

    assert opened.opened == {"support": 4}
    assert {example.interaction_id for example in second} == {row.id for row in silent}
    assert {example.response.text for example in second} == {"It takes a week."}
    assert second.manifest["feedback"] == {"read_at": (NOON + 3 * DAY).isoformat(), "reopened": 4, "taken": 3}
    assert "4 interactions are considered again" in " ".join(second.manifest["notes"])
    record = store.datasets.get(second.fingerprint)
    assert record is not None
    assert "| considered again, as people said more | 4 |" in Path(record.uri, "README.md").read_text().replace("`", "")
    assert store.reopenings.count("support") == 0
    settled = [row for rows in store.reopenings.of([row.id for row in (praised[0], *silent)], "dataset").values() for row in rows]
    assert {(row.used_by, row.settled_by) for row in settled} == {(first.fingerprint, second.fingerprint)}


async def test_feedback_that_comes_while_a_set_is_made_is_found_when_it_is_there(line: Line, store: Store) -> None:
    row = next(one for one in line.side("train") if one in line.rows[1::2])
    begun = NOON + DAY
    clock = [begun]

    def interrupts(done: int, total: int, words: str) -> None:
        if words.startswith("writing"):
            line.says(row, when=begun + timedelta(minutes=1), score=5)
            # A look at this moment finds it on nothing that was used, and notes that it has looked so far.
            clock[0] = begun + timedelta(hours=8)
            assert look(store, now=at(clock[0])).opened == {}

    curator = DataCurator.for_task(line.policy, store=store)
    dataset = await curator.build("support", now=lambda: clock[0], on_progress=interrupts)

    assert row.id not in {example.interaction_id for example in dataset}
    # The set took hours to be made: by the clock alone, the feedback was looked at before it was there.
    assert look(store, now=at(begun + timedelta(hours=9))).opened == {"support": 1}


@pytest.mark.parametrize("where", ["golden", "anchor"])
async def test_what_no_training_set_may_hold_is_not_opened(line: Line, store: Store, where: str) -> None:
    row = line.side("golden" if where == "golden" else "train")[0]
    if where == "anchor":
        store.reviews.add([Review(task="support", interaction_id=row.id, queue="anchor", reason="frozen")])
    await line.curated(NOON + DAY)

    line.says(row, when=NOON + 2 * DAY, score=1)

    assert look(store, now=at(NOON + 2 * DAY)).opened == {}


async def test_a_comment_and_what_people_do_open_nothing(line: Line, store: Store) -> None:
    await line.curated(NOON + DAY)

    for row in line.side("train"):
        line.says(row, when=NOON + 2 * DAY, comment="Thanks.", label="good")
        line.says(row, when=NOON + 2 * DAY, kind="implicit", score=1, label="retry")

    assert look(store, now=at(NOON + 2 * DAY)).opened == {}


async def test_feedback_to_the_providers_id_counts(line: Line, store: Store) -> None:
    named = [row.model_copy(update={"id": f"named-{n}", "provider_response_id": f"chat-{n}"}) for n, row in enumerate(line.rows)]
    store.interactions.add(named, now=at(NOON))
    line.rows = named
    await line.curated(NOON + DAY)
    row = line.side("train")[0]

    store.feedback.add([Feedback(interaction_id=str(row.provider_response_id), score=1)], now=at(NOON + 2 * DAY))

    assert look(store, "support", now=at(NOON + 2 * DAY)).opened == {"support": 1}
    assert [one.interaction_id for one in store.reopenings.open_of("support", "dataset")] == [row.id]


async def test_looking_again_and_in_two_places_opens_nothing_twice(line: Line, store: Store) -> None:
    await line.curated(NOON + DAY)
    row = line.side("train")[0]
    line.says(row, when=NOON + 2 * DAY, score=1)

    assert look(store, "support", now=at(NOON + 2 * DAY)).opened == {"support": 1}
    assert look(store, now=at(NOON + 2 * DAY)).opened == {}
    line.says(row, when=NOON + 2 * DAY, score=2)
    assert look(store, now=at(NOON + 2 * DAY)).opened == {}
    assert store.reopenings.counts() == {"support": Open(interactions=1)}


async def test_a_clock_that_goes_minutes_behind_hides_no_feedback(line: Line, store: Store) -> None:
    await line.curated(NOON + DAY)
    look(store, now=at(NOON + 2 * DAY))

    line.says(line.side("train")[0], when=NOON + 2 * DAY - timedelta(minutes=9), score=1)

    assert look(store, now=at(NOON + 2 * DAY + timedelta(minutes=1))).opened == {"support": 1}


async def test_a_store_from_before_opens_what_came_after_its_sets_were_made(line: Line, store: Store) -> None:
    dataset = await line.curated(NOON + DAY)
    with store.engine.begin() as connection:
        from sqlalchemy import delete, update

        from continuum.store.tables import datasets
        from continuum.store.wheel_tables import reopenings

        older = {name: value for name, value in dataset.manifest.items() if name != "feedback"}
        connection.execute(update(datasets).where(datasets.c.kind == "training").values(manifest=older))
        connection.execute(delete(reopenings))
    line.says(line.side("train")[0], when=NOON + 2 * DAY, score=1)

    assert look(store, now=at(NOON + 30 * DAY)).opened == {"support": 1}


# --- what is done about it -------------------------------------------------------------------------------------------


async def test_what_waits_for_more_data_stays_open(line: Line, store: Store) -> None:
    line.learned(await line.curated(NOON + DAY))
    line.says(line.side("train")[0], when=NOON + 2 * DAY, score=1)
    look(store, now=at(NOON + 2 * DAY))

    with pytest.raises(NotEnoughData, match="0 distinct examples"):
        await line.curated(NOON + 3 * DAY)

    assert store.reopenings.count("support") == 1


async def test_what_is_said_more_of_while_it_is_considered_again_stays_open(line: Line, store: Store) -> None:
    line.learned(await line.curated(NOON + DAY))
    rows = [row for row in line.side("train") if row in line.rows[1::2]][:3]
    for row in rows:
        line.says(row, when=NOON + 2 * DAY, score=5)
    look(store, now=at(NOON + 2 * DAY))

    def interrupts(done: int, total: int, words: str) -> None:
        if words.startswith("writing"):
            line.says(rows[0], when=NOON + 3 * DAY + timedelta(minutes=1), score=1)

    curator = DataCurator.for_task(line.policy, store=store)
    dataset = await curator.build("support", now=at(NOON + 3 * DAY), on_progress=interrupts)

    assert len(dataset) == 3
    assert [one.interaction_id for one in store.reopenings.open_of("support", "dataset")] == [rows[0].id]
    look(store, now=at(NOON + 3 * DAY + timedelta(minutes=2)))
    assert [one.interaction_id for one in store.reopenings.open_of("support", "dataset")] == [rows[0].id]


def test_a_look_while_a_long_curation_ends_is_not_undone_by_it(line: Line, store: Store) -> None:
    row = next(one for one in line.side("train") if one in line.rows[1::2])
    store.datasets.add(_version("support", "first", 1, 0, 99, NOON), [])
    line.says(row, when=NOON + DAY, score=5)
    look(store, now=at(NOON + DAY))
    heard = listen(store, "support", NOON + DAY)
    assert row.id in heard.again
    traffic = read_traffic(store, line.policy, None, 99, heard.again)

    line.says(row, when=NOON + DAY + timedelta(hours=3), score=1)
    look(store, now=at(NOON + DAY + timedelta(hours=3)))
    store.datasets.add(_version("support", "second", 2, 99, 99, heard.at, made_at=NOON + DAY + timedelta(hours=4)), [])
    look(store, now=at(NOON + DAY + timedelta(hours=4)))
    settle(store, heard, traffic, "second", NOON + DAY + timedelta(hours=4))

    assert [one.interaction_id for one in store.reopenings.open_of("support", "dataset")] == [row.id]


async def test_what_a_blocked_candidate_was_given_again_comes_round_again(line: Line, store: Store) -> None:
    line.learned(await line.curated(NOON + DAY))
    rows = [row for row in line.side("train") if row in line.rows[1::2]][:3]
    for row in rows:
        line.says(row, when=NOON + 2 * DAY, score=5)
    look(store, now=at(NOON + 2 * DAY))
    second = await line.curated(NOON + 3 * DAY)
    assert store.reopenings.count("support") == 0

    line.learned(second, approved=False)
    third = await line.curated(NOON + 4 * DAY)
    line.learned(third)

    assert {example.interaction_id for example in third} == {row.id for row in rows}
    with pytest.raises(NotEnoughData):
        await line.curated(NOON + 5 * DAY)


async def test_erasing_an_interaction_closes_what_was_open_of_it(line: Line, store: Store) -> None:
    await line.curated(NOON + DAY)
    row = line.side("train")[0]
    line.says(row, when=NOON + 2 * DAY, score=1)
    look(store, now=at(NOON + 2 * DAY))

    erase(store, [row.id])

    assert store.reopenings.counts() == {}


def test_what_is_remembered_for_a_set_that_was_never_stored_is_not_believed(line: Line, store: Store) -> None:
    heard = listen(store, "support", NOON)
    remember(store, heard, read_traffic(store, line.policy, None), "support", "killed before it was stored")
    praised = {row.id for row in line.side("train")} & {row.id for row in line.rows[::2]}
    assert set(store.reopenings.of(praised, "dataset")) == praised

    store.datasets.add(_version("support", "stored", 1, 0, 99, NOON - DAY), [])
    look(store, now=at(NOON))

    assert {row.interaction_id for row in store.reopenings.open_of("support", "dataset")} >= praised


async def test_gathering_opens_it_and_the_status_counts_it_as_new(line: Line, store: Store) -> None:
    line.policy = store.tasks.register(line.policy.model_copy(update={"auto_train_when": 2})).policy
    dataset = await line.curated(NOON + DAY)
    store.tasks.advance("support", base=0, to=dataset.manifest["through"])
    line.says(line.side("train")[0], when=NOON + 2 * DAY, score=1)
    assert not due(store, "support")

    assert gather(store, "support", now=at(NOON + 2 * DAY)).reopened == 1
    assert "1 of 2 new interactions (1 reopened by late feedback)" in status_of(store, "support").advice
    assert summarise(store, "support").reopened == 1
    line.says(line.side("train")[1], when=NOON + 2 * DAY, score=1)
    assert gather(store, "support", now=at(NOON + 2 * DAY)).reopened == 1
    assert due(store, "support")


async def test_who_watches_a_task_looks_for_it(line: Line, store: Store) -> None:
    await line.curated(NOON + DAY)
    line.says(line.side("train")[0], when=utc_now(), score=1)

    watching = asyncio.create_task(watch("support", store=store, every_s=0.01))
    async with asyncio.timeout(60):
        while store.reopenings.count("support") == 0:
            assert not watching.done()
            await asyncio.sleep(0.01)
    watching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watching


# --- whatever the order ---------------------------------------------------------------------------------------------


class Wheel:
    """Captures, people, curation step by step, kills and looks, in any order; and what each training set has really read."""

    def __init__(self, store: Store, seed: int) -> None:
        number = next(WHEELS)
        self.store = store
        self.task = task = f"support{number}"
        self.policy = TaskPolicy(task=task)
        # In one store time goes on.
        self.now = NOON + number * 30 * DAY
        self.random = random.Random(seed)
        self.ids: list[str] = []
        self.said: dict[str, set[str]] = {}
        self.read: dict[str, dict[str, frozenset[str]]] = {}
        """Stored training set to what it had read of each interaction, oldest first."""
        self.making: Iterator[None] | None = None
        store.tasks.register(self.policy)

    def capture(self) -> None:
        number = len(self.ids)
        row = interactions(number + 1, task=self.task)[number]
        named = {"id": f"{self.task}-{number}", "conversation_id": f"{self.task}-{number}"}
        self.store.interactions.add([row.model_copy(update=named)], now=at(self.now))
        self.ids.append(f"{self.task}-{number}")
        self.said[self.ids[-1]] = set()

    def speak(self) -> None:
        """Feedback by a clock that goes up to nine minutes behind, or a drain that takes as long."""
        if self.ids:
            one = self.random.choice(self.ids)
            feedback = Feedback(interaction_id=one, score=self.random.choice((1.0, 5.0)))
            lag = timedelta(minutes=self.random.choice((0, 0, 3, 9)))
            self.store.drain([], [feedback], segment=None, seen=0, offset=0, now=at(self.now - lag))
            self.said[one].add(feedback.id)

    def make(self) -> None:
        """A step further in making a training set."""
        if self.making is None:
            self.making = self._curation()
        if next(self.making, "done") == "done":
            self.making = None

    def curate(self) -> None:
        """All that is left of a training set."""
        self.make()
        while self.making is not None:
            self.make()

    def kill(self) -> None:
        if self.random.random() < 0.3:
            self.making = None

    def wait(self) -> None:
        self.now += timedelta(minutes=self.random.choice((1, 1, 8, 15, 200)))

    def look(self) -> None:
        look(self.store, self.random.choice((None, self.task)), now=at(self.now))

    def _curation(self) -> Iterator[None]:
        store, task = self.store, self.task
        heard: Heard = listen(store, task, self.now)
        after = self.random.choice((0, store.interactions.last_sequence(task) - len(self.ids) // 2))
        yield
        traffic = read_traffic(store, self.policy, None, after, heard.again)
        yield
        feedback = store.feedback.of(traffic.interactions)
        read = {one.id: frozenset(said.id for said in feedback.get(one.id, ())) for one in traffic.interactions}
        yield
        version = store.datasets.next_version(task)
        name = f"{task}-{version}-{self.random.random()}"
        remember(store, heard, traffic, task, name)
        yield
        store.datasets.add(_version(task, name, version, after, traffic.through, heard.at, made_at=self.now), [])
        self.read[name] = read
        yield
        settle(store, heard, traffic, name, self.now)

    def forgotten(self) -> list[str]:
        """Interactions of which the newest training set that considered them had read something else, and that are not open."""
        self.look()
        waiting = {row.interaction_id for row in self.store.reopenings.open_of(self.task, "dataset")}
        apart = self.store.late_feedback.held_apart(self.ids, _draw(self.policy))
        lost = []
        for one in set(self.ids) - apart - waiting:
            reads = [read[one] for read in self.read.values() if one in read]
            if reads and reads[-1] != self.said[one]:
                lost.append(one)
        return lost


def _version(
    task: str, name: str, version: int, after: int, through: int, read_at: datetime, made_at: datetime | None = None
) -> DatasetRecord:
    manifest = {"after": after, "through": through, "feedback": {"read_at": read_at.isoformat()}}
    created = made_at or read_at
    return DatasetRecord(
        id=name, task=task, name=f"{task}_training_v{version}", version=version, uri=name, manifest=manifest, created_at=created
    )


def _draw(policy: TaskPolicy) -> str:
    from continuum.splits.sides import draw_of

    return draw_of(policy.splits)


DEEDS = st.lists(
    st.sampled_from(
        ("capture", "speak", "speak", "speak", "make", "make", "make", "curate", "kill", "wait", "wait", "look", "look")
    ),
    min_size=15,
    max_size=50,
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(deeds=DEEDS, seed=st.integers(0, 2**16))
def test_whatever_the_order_no_late_feedback_is_lost(store: Store, deeds: list[str], seed: int) -> None:
    wheel = Wheel(store, seed)

    for deed in ("capture", "capture", "capture", *deeds):
        getattr(wheel, deed)()

    assert wheel.forgotten() == []
    assert wheel.forgotten() == []
