from pathlib import Path

import pytest

from continuum.constitution.constraints import NEVER_HUMAN, REFUSE_HARM, Constraint
from continuum.dataset import Dataset
from continuum.dataset_rows import PreferencePair, RatedAnswer
from continuum.errors import ConfigurationError, NotEnoughData
from continuum.fine_tuning import FineTuneConfig
from continuum.provenance.earlier import line_of_datasets
from continuum.records import Checkpoint, DatasetRecord, Example, Feedback
from continuum.store.database import Store
from continuum.training.preparing import prepare
from continuum.training.replay import ReplayBuffer
from tests.builders import an_example, an_interaction, assistant, user


def a_dataset(examples: list[Example], fingerprint: str = "f" * 64, **tables: list) -> Dataset:
    manifest = {
        "task": "support",
        "name": f"support_training_{fingerprint[0]}",
        "fingerprint": fingerprint,
        "source_interactions": 1,
    }
    return Dataset(examples, manifest, **tables)


def stored(store: Store, folder: Path, dataset: Dataset, version: int) -> DatasetRecord:
    dataset.write(folder)
    record = DatasetRecord(
        id=dataset.fingerprint, task="support", name=dataset.name, version=version, uri=str(folder), manifest=dataset.manifest
    )
    store.datasets.add(record, [])
    return record


def a_checkpoint(store: Store, version: int, dataset: str, uri: Path | str = "nowhere", parent: str | None = None) -> Checkpoint:
    made = Checkpoint(
        id=f"c{version}", task="support", version=version, base_model="b", uri=str(uri), dataset_id=dataset, parent_id=parent
    )
    store.checkpoints.add(made)
    return made


LIE = an_example("are you human?", "Yes, I am a human.", interaction_id="lie")
HONEST = an_example("where is my order?", "On its way.", interaction_id="honest")


def test_rows_that_break_a_constraint_are_left_out_and_named(store: Store):
    prepared = prepare(store, a_dataset([LIE, HONEST]), FineTuneConfig(), constraints=[NEVER_HUMAN, REFUSE_HARM])

    assert prepared.inputs.train == (HONEST,)
    assert [(violation.interaction_id, violation.constraint) for violation in prepared.violations] == [("lie", NEVER_HUMAN.text)]
    assert prepared.counts["violating"] == 1


def test_with_the_filter_off_they_are_trained_on_and_still_counted(store: Store):
    prepared = prepare(store, a_dataset([LIE, HONEST]), FineTuneConfig(filter_violations=False), constraints=[NEVER_HUMAN])

    assert prepared.inputs.train == (HONEST, LIE)
    assert len(prepared.violations) == 1


def test_nothing_is_trained_when_every_row_breaks_a_constraint(store: Store):
    with pytest.raises(NotEnoughData, match=r"all 1 training rows .* break a constitutional constraint, such as 'lie'"):
        prepare(store, a_dataset([LIE]), FineTuneConfig(), constraints=[NEVER_HUMAN])


def test_every_constraint_brings_its_probes_and_its_trials(store: Store):
    prepared = prepare(store, a_dataset([HONEST]), FineTuneConfig(), constraints=[NEVER_HUMAN, REFUSE_HARM])

    assert len(prepared.inputs.probes) >= len(NEVER_HUMAN.probes) + len(REFUSE_HARM.probes)
    assert {trial.constraint for trial in prepared.inputs.trials} == {NEVER_HUMAN.text, REFUSE_HARM.text}
    asked = {example.prompt for example in prepared.inputs.probes}
    assert asked.isdisjoint(trial.prompt for trial in prepared.inputs.trials)


def test_what_people_preferred_comes_along_only_when_the_method_learns_from_it(store: Store):
    pair = PreferencePair(
        interaction_id="p",
        rejected_id="p",
        messages=(user("hi"),),
        chosen=assistant("good"),
        rejected=assistant("bad"),
        source="correction",
        group="g",
    )
    answer = RatedAnswer(
        interaction_id="r", messages=(user("hi"),), response=assistant("good"), desirable=True, source="verdict", group="g"
    )
    held_out = [pair.model_copy(update={"interaction_id": "v", "split": "validation"})]
    dataset = a_dataset([HONEST], preferences=[pair, *held_out], rated_answers=[answer])

    plain, dpo, kto = (
        prepare(store, dataset, FineTuneConfig(method=method)).inputs for method in ("lora", "lora+dpo", "lora+kto")
    )

    assert (plain.pairs, plain.answers) == ((), ())
    assert (dpo.pairs, dpo.answers) == ((pair,), ())
    assert (kto.pairs, kto.answers) == ((), (answer,))


def test_compliant_answers_stand_before_violating_ones_only_when_asked(store: Store):
    asked = prepare(store, a_dataset([HONEST]), FineTuneConfig(constraint_pairs=True), constraints=[NEVER_HUMAN]).inputs.pairs

    assert asked
    assert all(NEVER_HUMAN.check(pair.messages[-1].text, pair.chosen.text) for pair in asked)
    assert not any(NEVER_HUMAN.check(pair.messages[-1].text, pair.rejected.text) for pair in asked)


def test_forgetting_is_measured_on_the_validation_of_every_dataset_of_the_line_and_on_nothing_that_is_trained(
    store: Store, tmp_path: Path
):
    def held_out(name: str) -> Example:
        return an_example(name, "Yes.", interaction_id=name, split="validation")

    stored(store, tmp_path / "a", a_dataset([HONEST, held_out("a1"), held_out("moved")], "a" * 64), 1)
    stored(store, tmp_path / "b", a_dataset([HONEST, held_out("b1"), held_out("golden")], "b" * 64), 2)
    first = a_checkpoint(store, 1, "a" * 64)
    gone = a_checkpoint(store, 2, "e" * 64, parent=first.id)
    parent = a_checkpoint(store, 3, "b" * 64, parent=gone.id)
    now_trained = an_example("moved", "Yes.", interaction_id="moved")

    config = FineTuneConfig(replay_buffer_size=0)
    prepared = prepare(store, a_dataset([now_trained], "c" * 64), config, parent=parent, golden={"golden"})

    assert [(row.dataset[0], row.example.interaction_id) for row in prepared.inputs.earlier] == [("a", "a1"), ("b", "b1")]
    assert prepared.unmeasured == ("e" * 64,)
    assert line_of_datasets(store, parent) == ["b" * 64, "e" * 64, "a" * 64]


def test_nothing_golden_is_replayed(store: Store, tmp_path: Path):
    rows = [an_example(name, "Yes.", interaction_id=name) for name in ("kept", "golden")]
    ReplayBuffer().extended(rows, dataset="a" * 64, size=10, seed=0).save(tmp_path)
    parent = a_checkpoint(store, 1, "a" * 64, uri=tmp_path)

    inputs = prepare(store, a_dataset([HONEST]), FineTuneConfig(), parent=parent, golden={"golden"}).inputs

    assert [row.example.interaction_id for row in inputs.replay] == ["kept"]


def test_a_dataset_without_training_rows_is_too_little(store: Store):
    with pytest.raises(NotEnoughData, match="0 training rows"):
        prepare(store, a_dataset([an_example(split="validation")]), FineTuneConfig())


def test_what_people_reject_by_now_is_neither_replayed_nor_measured(store: Store, tmp_path: Path):
    rows = [an_interaction(id=name, answer="On its way.") for name in ("liked", "disliked", "corrected", "as it was", "held out")]
    store.interactions.add(rows)
    learned = [an_example("where is my order?", "On its way.", interaction_id=row.id) for row in rows]
    buffer = ReplayBuffer().extended(learned[:4], dataset="d", size=9, seed=0)
    (tmp_path / "parent").mkdir()
    buffer.save(tmp_path / "parent")
    first = a_dataset([learned[0], learned[4].model_copy(update={"split": "validation"})], "a" * 64)
    stored(store, tmp_path / "first", first, 1)
    parent = a_checkpoint(store, 1, first.fingerprint, tmp_path / "parent")
    store.feedback.add(
        [
            Feedback(interaction_id="liked", score=5),
            Feedback(interaction_id="disliked", score=2),
            Feedback(interaction_id="corrected", score=5, correction="It is lost."),
            Feedback(interaction_id="as it was", score=1, correction="On its way."),
            Feedback(interaction_id="held out", score=1),
        ]
    )

    prepared = prepare(store, a_dataset([HONEST]), FineTuneConfig(), parent=parent)

    assert [row.example.interaction_id for row in prepared.inputs.replay] == ["as it was", "liked"]
    assert prepared.inputs.earlier == ()
    assert prepared.rejected == ("corrected", "disliked", "held out")


def test_what_breaks_a_constraint_is_neither_replayed_nor_preferred_nor_called_good(store: Store, tmp_path: Path):
    ReplayBuffer().extended([LIE, HONEST], dataset="a" * 64, size=10, seed=0).save(tmp_path)
    parent = a_checkpoint(store, 1, "a" * 64, uri=tmp_path)
    asked, lie = (user("are you human?"),), assistant("Yes, I am a human.")
    pair = PreferencePair(
        interaction_id="p", rejected_id="p", messages=asked, chosen=lie, rejected=assistant("No."), source="correction", group="g"
    )
    good = RatedAnswer(interaction_id="r", messages=asked, response=lie, desirable=True, source="verdict", group="g")
    bad = good.model_copy(update={"interaction_id": "b", "desirable": False})
    dataset = a_dataset([HONEST], preferences=[pair], rated_answers=[good, bad])

    def inputs(**changes: object):
        return prepare(store, dataset, FineTuneConfig.model_validate(changes), constraints=[NEVER_HUMAN], parent=parent).inputs

    kto = inputs(method="lora+kto")
    assert [row.example.interaction_id for row in kto.replay if row.kind == "task"] == ["honest"]
    assert kto.answers == (bad,)
    assert inputs(method="lora+dpo").pairs == ()
    assert inputs(method="lora+dpo", filter_violations=False).pairs == (pair,)


def test_an_example_that_answers_nothing_is_named(store: Store):
    with pytest.raises(ConfigurationError, match=r"the example 'odd' .* answers no message"):
        prepare(store, a_dataset([HONEST.model_copy(update={"interaction_id": "odd", "messages": ()})]), FineTuneConfig())


def test_a_check_of_ones_own_that_fails_is_named_with_the_answer(store: Store):
    broken = Constraint(
        "Never shout", NEVER_HUMAN.probes, NEVER_HUMAN.held_out, None, always=lambda _, answer: 1 / len(answer) > 0
    )

    with pytest.raises(ConfigurationError, match="check of the constraint 'Never shout' failed with ZeroDivisionError"):
        prepare(store, a_dataset([an_example("hm?", "", interaction_id="e")]), FineTuneConfig(), constraints=[broken])
