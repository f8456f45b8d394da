"""Models are asked once for an answer; what was answered outlives whatever breaks an evaluation off."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from continuum.errors import ConfigurationError
from continuum.models.answering import LocalAnswerer
from continuum.models.asking import Asking, said_hash
from continuum.records import Checkpoint, Message
from continuum.store.database import Store
from continuum.store.retention import erase
from tests.builders import an_interaction, assistant, safetensors_bytes, user
from tests.guard.evaluating import checkpoint
from tests.tiny_model import CITIES, question


class Echo:
    """Says what it was asked, under a name of its own; keeps what it was asked, batch by batch."""

    def __init__(self, name: str = "echo", *, fails_after: int | None = None) -> None:
        self.name = name
        self.fails_after = fails_after
        self.batches: list[tuple[str, ...]] = []

    @property
    def asked(self) -> list[str]:
        return [question for batch in self.batches for question in batch]

    async def answer(self, model: Checkpoint | None, conversations: Sequence[Sequence[Message]]) -> list[Message | None]:
        if self.fails_after is not None and len(self.batches) >= self.fails_after:
            raise ConnectionError("the model's server went away")
        await asyncio.sleep(0)
        self.batches.append(tuple(conversation[-1].text for conversation in conversations))
        return [self.said(conversation[-1].text) for conversation in conversations]

    def said(self, question: str) -> Message | None:
        return None if question.endswith("7") else assistant(f"{self.name}: {question}")


class Sampling(Echo):
    cacheable = False


class Configured(Echo):
    settings = {"max_new_tokens": 96}


class Based(Echo):
    def __init__(self, base_model: str) -> None:
        super().__init__()
        self.base_model = base_model


def questions(count: int) -> list[list[Message]]:
    # Of different lengths, so that the order in which they are asked is not the order in which they stand.
    return [[user(f"{'so ' * (n % 4)}question {n}")] for n in range(count)]


async def ask(answerer: Echo, store: Store, count: int = 40, model: Checkpoint | None = None, **options):
    asking = Asking(answerer, store, "support", chunk=8)
    return await asking.answers(model or checkpoint(1), "tiny", questions(count), **options)


# --- never twice -------------------------------------------------------------------------------------------------


async def test_answers_come_in_the_order_of_the_questions_and_nothing_is_asked_twice(store: Store) -> None:
    first, again = Echo(), Echo()

    answers = await ask(first, store)

    assert answers == [first.said(conversation[-1].text) for conversation in questions(40)]
    assert await ask(again, store) == answers
    assert len(first.asked) == len(set(first.asked)) == 40
    assert again.asked == []


async def test_a_question_that_stands_there_twice_is_asked_once(store: Store) -> None:
    answerer = Echo()

    answers = await Asking(answerer, store, "support").answers(
        checkpoint(1), "tiny", [[user("yes?")], [user("no?")], [user("yes?")]]
    )

    assert sorted(answerer.asked) == ["no?", "yes?"]
    assert [answer and answer.text for answer in answers] == ["echo: yes?", "echo: no?", "echo: yes?"]


async def test_a_set_that_has_grown_asks_only_what_is_new(store: Store) -> None:
    await ask(Echo(), store, 30)
    answerer = Echo()

    await ask(answerer, store, 40)

    assert sorted(answerer.asked) == sorted(conversation[-1].text for conversation in questions(40)[30:])


async def test_what_was_answered_before_the_answerer_failed_is_kept(store: Store) -> None:
    failing, going_on = Echo(fails_after=3), Echo()
    with pytest.raises(ConnectionError):
        await ask(failing, store)

    answers = await ask(going_on, store)

    assert len(failing.asked) == 3 * 8
    assert not set(failing.asked) & set(going_on.asked)
    assert len(going_on.asked) == 40 - 3 * 8
    assert answers == [going_on.said(conversation[-1].text) for conversation in questions(40)]


async def test_what_is_asked_together_does_not_hang_on_what_was_answered_before(store: Store, tmp_path: Path) -> None:
    """A model's answer may depend on its batch in the last bits; a resumed evaluation asks the batches of an undisturbed one."""
    undisturbed, failing, resumed = Sampling(), Echo(fails_after=2), Echo()
    await ask(undisturbed, store)
    with pytest.raises(ConnectionError):
        await ask(failing, store)
    await ask(resumed, store)

    assert sorted(failing.batches + resumed.batches) == sorted(undisturbed.batches)


async def test_two_who_ask_at_once_share_the_work_and_go_on_with_the_same_answers(store: Store) -> None:
    one, other = Echo("one"), Echo("other")

    answers = await asyncio.gather(ask(one, store, 160), ask(other, store, 160))

    assert answers[0] == answers[1]
    assert len(one.asked) + len(other.asked) < 2 * 160


@pytest.mark.slow
async def test_a_local_model_that_was_interrupted_says_what_it_would_have_said(
    store: Store, tiny_base: Path, tiny_checkpoint: Checkpoint
) -> None:
    class Interrupted(LocalAnswerer):
        calls, most = 0, 2

        async def answer(self, model, conversations):
            if self.calls == self.most:
                raise ConnectionError("interrupted")
            self.calls += 1
            return await super().answer(model, conversations)

    conversations = [[user(question(city))] for city in CITIES] + questions(26)
    undisturbed = await LocalAnswerer(tiny_base).answer(tiny_checkpoint, conversations)
    answerer = Interrupted(tiny_base)
    asking = Asking(answerer, store, "support", chunk=8)
    with pytest.raises(ConnectionError):
        await asking.answers(tiny_checkpoint, str(tiny_base), conversations)
    answerer.most = 99

    assert await asking.answers(tiny_checkpoint, str(tiny_base), conversations) == undisturbed
    assert answerer.calls == 4
    assert store.golden_answers.count("support", tiny_checkpoint.id) == 32
    answerer.max_new_tokens = 2
    await asking.answers(tiny_checkpoint, str(tiny_base), conversations[:6])
    await asking.answers(None, str(tiny_base), conversations[:6])
    assert store.golden_answers.count("support", tiny_checkpoint.id) == 38
    assert store.golden_answers.count("support", str(tiny_base)) == 6


# --- what makes another answer -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [{"manifest": {"adapter_model.safetensors": "other"}}, {"base_model": "another"}],
    ids=["other weights", "other base"],
)
async def test_another_model_is_asked_anew(store: Store, change: dict) -> None:
    await ask(Echo(), store)
    answerer = Echo()

    await ask(answerer, store, model=checkpoint(1).model_copy(update=change))

    assert len(answerer.asked) == 40


async def test_a_model_is_the_same_whatever_its_row_in_the_store(store: Store) -> None:
    await ask(Echo(), store)
    answerer = Echo()

    await ask(answerer, store, model=checkpoint(1).model_copy(update={"id": "restored", "version": 9}))

    assert answerer.asked == []


async def test_other_settings_or_another_kind_of_answerer_ask_anew(store: Store) -> None:
    await ask(Configured(), store)
    same, longer, other = Configured(), Configured(), Echo()
    longer.settings = {"max_new_tokens": 200}

    for answerer in (same, longer, other):
        await ask(answerer, store)

    assert [len(answerer.asked) for answerer in (same, longer, other)] == [0, 40, 40]


async def test_a_base_model_is_known_by_its_files(store: Store, tmp_path: Path) -> None:
    weights = tmp_path / "model.safetensors"

    async def asked() -> int:
        answerer = Echo()
        await Asking(answerer, store, "support").answers(None, str(tmp_path), questions(3))
        return len(answerer.asked)

    weights.write_bytes(safetensors_bytes(b"one"))
    assert [await asked(), await asked()] == [3, 0]
    weights.write_bytes(safetensors_bytes(b"other"))
    assert await asked() == 3


async def test_the_base_that_an_answerer_has_is_the_one_it_answers_with(store: Store, tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes(safetensors_bytes(name.encode()))

    for base in ("one", "other"):
        answerer = Based(str(tmp_path / base))
        await Asking(answerer, store, "support").answers(None, "tiny", questions(3))
        assert len(answerer.asked) == 3


# --- what is not kept --------------------------------------------------------------------------------------------


async def test_what_an_answerer_would_not_say_again_is_not_kept(store: Store) -> None:
    for answerer in (Sampling(), Sampling()):
        await ask(answerer, store)
        assert len(answerer.asked) == 40
    assert store.golden_answers.count("support") == 0


async def test_nothing_is_kept_where_neither_files_nor_settings_say_who_answers(store: Store) -> None:
    bare = checkpoint(1).model_copy(update={"manifest": {}})

    for answerer in (Echo(), Echo()):
        await ask(answerer, store, model=bare)
        assert len(answerer.asked) == 40
    await ask(Configured(), store, model=bare)
    assert store.golden_answers.count("support") == 40


async def test_nothing_is_kept_of_what_is_erased_meanwhile_by_a_later_call_neither(store: Store) -> None:
    store.interactions.add([an_interaction(id=f"i{n}") for n in range(10)])
    ids = [f"i{n}" for n in range(10)]

    class Erasing(Echo):
        async def answer(self, model, conversations):
            erase(store, ["i3"])
            return await super().answer(model, conversations)

    asking = Asking(Erasing(), store, "support")
    answers = await asking.answers(checkpoint(1), "tiny", questions(10), interaction_ids=ids)
    await asking.answers(checkpoint(2), "tiny", questions(10), interaction_ids=ids)

    assert answers[3] == assistant("echo: so so so question 3")
    assert store.golden_answers.count("support", "c1") == store.golden_answers.count("support", "c2") == 9


async def test_answers_to_items_that_somebody_brought_are_kept(store: Store) -> None:
    await ask(Echo(), store, 3, interaction_ids=["own-1", "own-2", None])

    assert store.golden_answers.count("support") == 3


# --- the rest ----------------------------------------------------------------------------------------------------


async def test_an_answerer_that_leaves_answers_out_is_refused(store: Store) -> None:
    class Forgetful(Echo):
        async def answer(self, model, conversations):
            return (await super().answer(model, conversations))[:-1]

    with pytest.raises(ConfigurationError, match="gave 7 answers to 8 conversations; it must give one each"):
        await ask(Forgetful(), store)
    with pytest.raises(ConfigurationError, match="2 interaction ids do not fit 40 conversations"):
        await ask(Echo(), store, interaction_ids=["a", "b"])


async def test_no_question_is_no_work(store: Store) -> None:
    answerer = Echo()

    assert await ask(answerer, store, 0) == []
    assert answerer.batches == []


async def test_progress_is_told_to_the_end(store: Store) -> None:
    seen = []

    await ask(Echo(), store, on_progress=lambda *step: seen.append(step))

    assert seen[0] == (0, 40, "support-v1 answers")
    assert [done for done, _, _ in seen] == [0, 8, 16, 24, 32, 40]


def test_words_have_one_name_whoever_said_them_and_hostile_ones_have_one_too() -> None:
    assert said_hash([user("a"), assistant("b")]) == said_hash([user("a"), assistant("b")])
    assert said_hash([user("a"), assistant("b")]) != said_hash([user("a b")])
    assert len(said_hash([assistant("\x00\ud800")])) == 64
