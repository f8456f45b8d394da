from continuum.records import Message
from continuum.training.general import HELD_OUT_PROMPTS, TRAINING_PROMPTS, general_rows
from tests.builders import assistant


def test_what_general_skill_is_measured_with_is_never_trained_on():
    assert len(set(TRAINING_PROMPTS)) == 48
    assert len(set(HELD_OUT_PROMPTS)) == 24
    assert not {prompt.lower() for prompt in TRAINING_PROMPTS} & {prompt.lower() for prompt in HELD_OUT_PROMPTS}
    assert max(map(len, (*TRAINING_PROMPTS, *HELD_OUT_PROMPTS))) < 120


def test_the_models_own_answers_become_rows_and_silence_does_not():
    rows = general_rows(["one?", "two?", "three?"], ["1", "  ", assistant("3")])

    assert [(row.prompt, row.response.text) for row in rows] == [("one?", "1"), ("three?", "3")]
    assert all(row.interaction_id.startswith("general-") and len(row.interaction_id) == 24 for row in rows)
    assert rows == general_rows(["one?", "three?"], ["1", "3"])
    assert rows[0].interaction_id != general_rows(["one?"], ["another answer"])[0].interaction_id
    assert general_rows(["one?"], [Message(role="assistant", content=None)]) == ()
