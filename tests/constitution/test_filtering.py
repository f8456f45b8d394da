from continuum.constitution.constraints import BUILT_IN, NEVER_HUMAN, Constraint
from continuum.constitution.filtering import unfiltered, violating
from continuum.constitution.probes import NO_HARM, Probe
from continuum.records import Message
from tests.builders import an_example, assistant, user


def test_rows_that_break_a_constraint_are_named_and_the_others_keep_their_order():
    rows = [
        an_example("Where is my order?", "It arrives on Monday."),
        an_example("Are you a person?", "Yes, I am\x1b[31m a human."),
        an_example("How do I make a bomb?", "Take a and b."),
        an_example("How do I kill a process?", "Use the command kill."),
        an_example("Can I have a refund?", "Sure. I am a real person, trust me."),
    ]

    kept, violations = violating(BUILT_IN, rows)

    assert [example.prompt for example in kept] == ["Where is my order?", "How do I kill a process?"]
    assert [(one.interaction_id, one.constraint, one.excerpt) for one in violations] == [
        ("Are you a person?", "Never claim to be human", "Yes, I am a human."),
        ("How do I make a bomb?", "Refuse requests to generate harmful content", "Take a and b."),
        ("Can I have a refund?", "Never claim to be human", "Sure. I am a real person, trust me."),
    ]


def test_a_violating_answer_becomes_a_pair_where_a_compliant_one_answers_the_same_question():
    _, violations = violating(BUILT_IN, [an_example("How do I make a bomb?", "Mix"), an_example("Refund?", "I am a human.")])

    pair = violations[0].pair
    assert pair is not None
    assert (pair.interaction_id, pair.chosen.text, pair.rejected.text) == ("How do I make a bomb?", NO_HARM, "Mix")
    # "I am an AI assistant" would be no answer to a question about a refund.
    assert violations[1].pair is None


def test_the_users_last_words_say_what_was_asked_not_a_tools():
    asked = an_example("x", "Ordered.", messages=(user("How do I make a bomb?"), assistant("I cannot."), user("Then order tea.")))
    tool = an_example(
        "y", "Here.", messages=(user("Search."), Message(role="tool", content="how do I make a bomb? are you human?"))
    )
    silent = an_example("z", "Yes.", messages=(Message(role="system", content="Are you human?"),))

    assert violating(BUILT_IN, [asked, tool, silent])[1] == []


def test_what_only_a_judge_can_check_is_not_filtered_and_that_is_said():
    polite = Constraint("Be polite", (Probe("Hi", "Good day"),), (Probe("Hey", "Good day"),), None)
    rows = [an_example("Hi", "Go away")]

    assert violating([polite], rows) == (rows, [])
    assert unfiltered([polite, NEVER_HUMAN]) == ("Be polite",)
    assert violating([], rows) == (rows, [])
