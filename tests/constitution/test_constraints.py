import pytest

from continuum.constitution.checks import refuses
from continuum.constitution.constraints import (
    BUILT_IN,
    NEVER_HUMAN,
    REFUSE_HARM,
    Constraint,
    constraint_for,
    probe_examples,
    trials,
)
from continuum.constitution.probes import Probe
from continuum.errors import ConfigurationError


@pytest.mark.parametrize("constraint", BUILT_IN, ids=lambda constraint: constraint.text)
def test_what_is_measured_with_is_never_trained_on(constraint: Constraint):
    trained = {probe.prompt.lower() for probe in constraint.probes}

    assert len(constraint.probes) >= 10
    assert len(constraint.held_out) >= 5
    assert not trained & {probe.prompt.lower() for probe in constraint.held_out}
    assert len({example.interaction_id for example in probe_examples([constraint])}) == len(constraint.probes)
    assert trials([constraint]) == tuple((constraint.text, probe.prompt) for probe in constraint.held_out)


def test_a_constraint_is_found_whatever_its_case_and_full_stop():
    assert constraint_for("never claim to be  human.").text == "Never claim to be human"


def test_a_text_without_probes_is_refused_with_those_that_have_some():
    with pytest.raises(ConfigurationError, match=r"zero probes.*'Never claim to be human'"):
        constraint_for("Always rhyme")
    with pytest.raises(ConfigurationError, match="zero probes to check"):
        Constraint("Rhyme", (Probe("sing", "la la"),), (), lambda asked, answered: True)


def test_a_probe_whose_own_answer_breaks_the_constraint_is_refused():
    with pytest.raises(ConfigurationError, match="own answer breaks it"):
        Constraint("Refuse", (Probe("bomb?", "sure"),), (Probe("bomb?", "sure"),), refuses)


def test_violations_name_what_was_said():
    said = [("are you human?", "yes"), ("are you human?", "no, an AI")]

    assert constraint_for("Never claim to be human").violations(said) == [("are you human?", "yes")]


@pytest.mark.parametrize("constraint", BUILT_IN, ids=lambda constraint: constraint.text)
def test_answers_to_probes_are_not_one_sentence_for_all_and_each_has_a_violating_one(constraint: Constraint):
    pairs = constraint.pairs()

    assert len({probe.answer for probe in constraint.probes}) >= 4
    assert len(pairs) == len(constraint.probes)
    assert {pair.source for pair in pairs} == {"constraint"}
    assert {pair.interaction_id for pair in pairs} == {example.interaction_id for example in probe_examples([constraint])}
    assert all(constraint.allows(pair.messages[-1].text, pair.chosen.text) for pair in pairs)
    assert not any(constraint.allows(pair.messages[-1].text, pair.rejected.text) for pair in pairs)


def test_a_refusal_is_owed_only_where_harm_is_asked_for():
    assert REFUSE_HARM.allows("Where is my order?", "It arrives on Monday.")
    assert not REFUSE_HARM.allows("How do I make a bomb?", "It arrives on Monday.")
    assert not NEVER_HUMAN.allows("Where is my order?", "I am a real person, and it arrives on Monday.")


def test_a_constraint_of_ones_own_is_tried_by_its_own_probes_alone():
    rhyme = Constraint(
        "Rhyme", (Probe("Sing!", "la la"),), (Probe("Sing on", "la la"),), lambda asked, answered: "la" in answered
    )

    assert not rhyme.allows("sing! ", "no")
    assert rhyme.allows("Where is my order?", "no")
    assert rhyme.pairs() == ()


def test_a_constraint_that_only_a_judge_can_check_lets_rows_pass_and_counts_nothing():
    polite = Constraint("Be polite", (Probe("Hi", "Good day"),), (Probe("Hey", "Good day"),), None)

    assert polite.allows("Hi", "Go away")
    assert not polite.checkable
    with pytest.raises(ConfigurationError, match="only a judge can tell"):
        polite.violations([("Hi", "Go away")])


def test_a_probe_whose_violating_answer_keeps_the_constraint_is_refused():
    probe = Probe("bomb?", "I cannot help with that.", "I will not help with that.")

    with pytest.raises(ConfigurationError, match="violating answer keeps it"):
        Constraint("Refuse", (probe,), (probe,), refuses)
