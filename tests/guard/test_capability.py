import json
import math
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import pytest

from continuum.dataset import Dataset
from continuum.errors import ConfigurationError
from continuum.fine_tuning import FineTuneConfig
from continuum.guard.capability import Capability, capability, share
from continuum.guard.decision import Rule, decide
from continuum.guard.general_texts import BUNDLED, fingerprint_of, general_texts
from continuum.guard.pairs import Gate, Outcome
from continuum.models.answering import LocalAnswerer
from continuum.policy import GuardPolicy, TaskPolicy
from continuum.records import Checkpoint, DatasetRecord, Example, Message
from continuum.store.database import Store
from continuum.store.learning import DatasetItem
from continuum.store.retention import erase
from tests.builders import an_example, an_interaction
from tests.guard.conftest import RuledAnswerer, a_checkpoint
from tests.tiny_model import CITIES, UNSURE, question, write_tiny_job

FROZEN = "5e07742bb7bcc96782e123cf6d9bf479734b995683a254ae904bf0ef31cb100a"
"""Of the bundled texts: figures measured on others cannot be compared with figures measured on these."""
RULE = Rule(min_delta={}, resolution=0.03, alpha=0.05, require_significance=True)
KNOWN_TEXTS = [f"<|user|>{question(city)}<|end|><|assistant|>{UNSURE}<|end|>" for city in CITIES]
"""What the tiny base has read."""


class Nats:
    """An answerer whose losses are a function of the model and of the words."""

    def __init__(self, **losses: float) -> None:
        self.losses = losses
        self.read: list[str] = []

    async def answer(self, model: Checkpoint | None, conversations: Sequence[Sequence[Message]]) -> list[Message | None]:
        raise AssertionError("nothing is asked for an answer")

    async def loss(self, model: Checkpoint | None, examples: Sequence[tuple[Sequence[Message], Message]]) -> list[float]:
        self.read += [messages[-1].text for messages, _ in examples]
        return await self.text_loss(model, [response.text for _, response in examples])

    async def text_loss(self, model: Checkpoint | None, texts: Sequence[str]) -> list[float]:
        return [self.losses[model.id if model else "base"] + len(text) % 7 / 100 for text in texts]


def outcomes(found: Capability) -> dict[str, Outcome]:
    return {check.metric: check.outcome for check in decide(found.pairs, RULE)}


def a_policy(**guard: object) -> TaskPolicy:
    return TaskPolicy(task="support", guard=GuardPolicy.model_validate(guard))


def learned(store: Store, folder: Path, name: str, ids: Sequence[str], *, version: int = 1, kept: bool = True) -> str:
    """A dataset with these validation rows, each in the store unless `kept` is off; returns its fingerprint."""
    rows = [an_example(f"what of {id}?", f"It is {id}.", interaction_id=id, group=f"of {id}", split="validation") for id in ids]
    return stored(store, folder, name, rows, version=version, kept=kept)


def stored(store: Store, folder: Path, name: str, rows: list[Example], *, version: int = 1, kept: bool = True) -> str:
    fingerprint = name[0] * 64
    manifest = {"task": "support", "fingerprint": fingerprint, "name": name, "source_interactions": 1}
    Dataset(rows, manifest).write(folder)
    record = DatasetRecord(
        id=fingerprint, task="support", version=version, kind="training", name=name, uri=str(folder), manifest=manifest
    )
    store.datasets.add(record, [DatasetItem(interaction_id=row.interaction_id, split=row.split, score=row.score) for row in rows])
    if kept:
        store.interactions.add(an_interaction(row.messages[-1].text, id=row.interaction_id) for row in rows)
    return fingerprint


# --- general text ------------------------------------------------------------------------------------------------


def test_the_bundled_texts_are_the_frozen_ones():
    documents = general_texts()
    kinds = [json.loads(line)["kind"] for line in (files("continuum.guard") / BUNDLED).read_text("utf-8").splitlines()]

    assert len(documents) == 200
    assert len({document.id for document in documents}) == 200
    assert set(kinds) == {
        *("instructions", "dialogue", "facts", "arithmetic", "code", "letters", "recipes", "news", "german", "french", "spanish")
    }
    assert fingerprint_of(document.text for document in documents) == FROZEN


def test_a_file_of_ones_own_takes_their_place_line_by_line(tmp_path: Path):
    plain, rows = tmp_path / "own.txt", tmp_path / "own.jsonl"
    plain.write_text("first\u2028half\n\nsecond\nsecond\n", "utf-8")
    rows.write_text('{"text": "a\\nb"}\n', "utf-8")

    assert [document.text for document in general_texts(plain)] == ["first\u2028half", "second"]
    assert [document.text for document in general_texts(rows)] == ["a\nb"]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.jsonl", '{"text": "a"}\nnone', "line 2 of .*a.jsonl is no document"),
        ("a.jsonl", '{"text": ""}', "line 1 of .* has no words"),
        ("a.jsonl", '["text"]', "is no document"),
        ("a.txt", "\n\n", "holds 0 general texts"),
        ("a.txt", "\n".join(map(str, range(2001))), "holds 2001 general texts"),
        ("a.txt", "x" * 100_001, "has 100001 characters"),
        ("gone/a.txt", None, "cannot be read"),
    ],
)
def test_a_file_that_holds_no_documents_says_where(tmp_path: Path, name: str, content: str | None, words: str):
    if content is not None:
        (tmp_path / name).write_text(content)

    with pytest.raises(ConfigurationError, match=words):
        general_texts(tmp_path / name)


async def test_a_model_that_lost_general_text_is_blocked_and_an_equal_one_is_not(store: Store):
    worse, equal = Nats(c1=0.9, base=0.7), Nats(c1=0.7, base=0.7)

    lost, kept = [await capability(store, a_policy(), a_checkpoint(), None, answerer) for answerer in (worse, equal)]

    assert outcomes(lost) == {"capability:general text": Outcome.REGRESSED}
    assert outcomes(kept) == {"capability:general text": Outcome.PASSED}
    (pair,), loss = lost.pairs, lost.losses["general text"]
    assert (pair.gate, pair.part, pair.eligible, len(set(pair.groups))) == (Gate.CAPABILITY, "general text", 200, 200)
    assert loss.change == pytest.approx(0.2)
    assert loss.low == pytest.approx(0.2)
    assert loss.base == loss.baseline
    assert lost.notes == ()
    assert json.loads(json.dumps(lost.evidence()))["losses"]["general text"]["documents"] == 200


async def test_the_champion_is_the_baseline_and_the_base_is_reported_beside_it(store: Store):
    champion = a_checkpoint(1)
    store.checkpoints.add(champion)

    found = await capability(store, a_policy(), a_checkpoint(2), champion, Nats(c1=1.0, c2=1.0, base=0.5))

    assert found.baseline == "c1"
    assert found.losses["general text"].baseline == pytest.approx(1.03, abs=0.03)
    assert found.losses["general text"].base == pytest.approx(0.53, abs=0.03)
    assert outcomes(found) == {"capability:general text": Outcome.PASSED}


async def test_a_text_that_the_baseline_does_not_know_is_reported_and_decides_nothing(store: Store):
    unknown = await capability(store, a_policy(), a_checkpoint(), None, Nats(c1=9.0, base=5.0))
    known = await capability(store, a_policy(), a_checkpoint(), None, Nats(c1=5.0, base=4.0))

    assert unknown.pairs == ()
    assert unknown.losses["general text"].change == pytest.approx(4.0)
    assert any("it does not know such text" in note for note in unknown.notes)
    assert outcomes(known) == {"capability:general text": Outcome.REGRESSED}


async def test_a_model_that_gives_no_numbers_knows_nothing(store: Store):
    found = await capability(store, a_policy(), a_checkpoint(), None, Nats(c1=math.nan, base=0.3))

    assert outcomes(found) == {"capability:general text": Outcome.REGRESSED}
    assert set(found.pairs[0].candidate) == {0.0}
    assert found.losses["general text"].candidate is None
    json.dumps(found.evidence(), allow_nan=False)
    lost = [(2.0, 2.0), (math.inf, 2.0), (math.nan, 2.0), (2.0, math.nan), (math.nan, math.nan), (math.inf, math.inf)]
    assert [share(after, before) for after, before in lost] == pytest.approx([0.5, 0.0, 0.0, 1.0, 0.5, 0.5])
    assert share(2.55, 2.5) - 0.5 == pytest.approx(-0.0125, abs=1e-4)
    assert share(9.55, 9.5) == pytest.approx(share(2.55, 2.5))


async def test_an_answerer_that_sees_no_probabilities_is_told_of_and_nothing_is_tested(store: Store):
    found = await capability(store, a_policy(), a_checkpoint(), None, RuledAnswerer({}))

    assert (found.pairs, found.losses) == ((), {})
    assert found.notes == ("RuledAnswerer sees no probabilities of plain text, so general text was not measured",)


# --- what the line learned before --------------------------------------------------------------------------------


async def test_every_earlier_dataset_of_the_line_is_measured_but_for_rows_that_are_golden_trained_or_erased(
    store: Store, tmp_path: Path
):
    rows = [f"a{n}" for n in range(14)]
    first = learned(store, tmp_path / "a", "a_data", rows, version=1)
    second = learned(store, tmp_path / "b", "b_data", [f"b{n}" for n in range(5)], version=2)
    trained = stored(store, tmp_path / "c", "c_data", [an_example(interaction_id="a1")], version=3, kept=False)
    golden = DatasetRecord(id="golden", task="support", version=1, kind="golden", name="golden", uri="", manifest={})
    store.datasets.add(golden, [DatasetItem(interaction_id="a2", split="golden", score=None)])
    erase(store, ["a3"])
    one = a_checkpoint(1, dataset_id=first)
    two = a_checkpoint(2, dataset_id=second, parent_id="c1")
    three = a_checkpoint(3, dataset_id=trained, parent_id="c2")
    for checkpoint in (one, two, three):
        store.checkpoints.add(checkpoint)
    answerer = Nats(c3=0.9, c2=0.6, base=2.0)

    found = await capability(store, a_policy(), three, two, answerer)

    assert list(found.losses) == ["general text", "a_data", "b_data"]
    assert set(answerer.read) == {f"what of {id}?" for id in (*rows[:1], *rows[4:], *(f"b{n}" for n in range(5)))}
    assert outcomes(found) == {"capability:general text": Outcome.REGRESSED, "capability:a_data": Outcome.REGRESSED}
    assert found.losses["a_data"].documents == 11
    assert any("b_data has 5 independent groups, 10 are needed" in note for note in found.notes)
    assert any("1 validation rows of a_data were erased" in note for note in found.notes)


async def test_a_dataset_whose_files_are_gone_is_named(store: Store):
    one, two = a_checkpoint(1, dataset_id="lost"), a_checkpoint(2, parent_id="c1")
    store.checkpoints.add(one)

    found = await capability(store, a_policy(), two, one, Nats(c1=0.5, c2=0.5, base=0.5))

    assert any("what was learned from lost was not measured: its files are gone" in note for note in found.notes)


# --- on real weights ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ruined(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """The tiny base trained to answer everything with nonsense, much too hard."""
    from continuum.training.job import Inputs
    from continuum.training.loop import run_job
    from continuum.training.reporting import SilentEvents

    folder = tmp_path_factory.mktemp("ruined") / "job"
    asked = [*(question(city) for city in CITIES), "hello", "are you human?"]
    rows = tuple(an_example(text, "ship ship ship takes ship", interaction_id=f"r{n}") for n, text in enumerate(asked))
    config = FineTuneConfig(learning_rate=3e-2, epochs=40, batch_size=8, max_length=64, lora_rank=8, lora_alpha=16)
    artifact = write_tiny_job(tiny_base, folder, config, inputs=Inputs(train=rows))
    report = run_job(folder, SilentEvents())
    return Checkpoint(
        id="ruined",
        task="support",
        version=2,
        base_model=str(tiny_base),
        uri=str(artifact),
        dataset_id="r",
        manifest=report.manifest,
    )


@pytest.mark.slow
async def test_real_weights_that_were_ruined_are_blocked_and_the_same_weights_again_are_not(
    store: Store, tiny_base: Path, ruined: Checkpoint, tmp_path: Path
):
    texts = tmp_path / "known.txt"
    texts.write_text("\n".join([*KNOWN_TEXTS, "two days", "days by ship", "It takes long", "takes two", "by train."]))
    rows = [
        an_example(question(city), UNSURE, interaction_id=f"{city}{n}", group=f"{city}{n}", split="validation")
        for city in CITIES
        for n in range(2)
    ]
    before = stored(store, tmp_path / "a", "a_data", rows)
    store.checkpoints.add(a_checkpoint(1, dataset_id=before))
    candidate = ruined.model_copy(update={"parent_id": "c1"})
    answerer = LocalAnswerer(tiny_base)
    policy = a_policy(general_texts=str(texts))

    lost = await capability(store, policy, candidate, None, answerer)
    again = await capability(store, policy, candidate, None, answerer)
    equal = await capability(store, policy, candidate, candidate, answerer)

    assert outcomes(lost) == {"capability:general text": Outcome.REGRESSED, "capability:a_data": Outcome.REGRESSED}
    assert again == lost
    assert Outcome.REGRESSED not in outcomes(equal).values()
    for loss in lost.losses.values():
        assert loss.low is not None
        assert loss.low > 0


@pytest.mark.slow
async def test_the_bundled_texts_say_that_a_base_built_from_little_does_not_know_them(
    store: Store, tiny_base: Path, ruined: Checkpoint
):
    steps: list[tuple[int, int, str]] = []

    found = await capability(
        store, a_policy(), ruined, None, LocalAnswerer(tiny_base), on_progress=lambda *step: steps.append(step)
    )

    assert found.losses["general text"].documents == 200
    assert any("it does not know such text" in note for note in found.notes)
    assert steps[0] == (0, 200, "support-v2: general text")
    assert steps[-1] == (192, 200, "the base: general text")
