from datetime import timedelta
from random import Random

from continuum.records import FunctionCall, Interaction, Message, ToolCall
from continuum.splits.groups import Groups, group_interactions, keys_of
from tests.builders import NOON, an_interaction, assistant, user

GREETING = assistant("Hi, I sell tickets.")


def grouped(*interactions: Interaction, cap: int = 50) -> Groups:
    return group_interactions((keys_of(interaction) for interaction in interactions), cap)


def together(groups: Groups) -> set[frozenset[str]]:
    return {frozenset(members) for members in groups.members.values()}


def said(name: str, *turns: Message, **fields: object) -> Interaction:
    return an_interaction(id=name, messages=turns, **fields)


def test_a_conversation_is_one_group() -> None:
    groups = grouped(
        said("a", user("Is it open?"), conversation_id="one"),
        said("b", user("Then book two"), conversation_id="one"),
        said("c", user("Where is Bonn?"), conversation_id="two"),
    )

    assert together(groups) == {frozenset("ab"), frozenset("c")}


def test_rows_of_one_dialogue_are_linked_by_its_opening_when_every_row_has_its_own_id() -> None:
    opening = (GREETING, user("Is Antlers on?"))
    groups = grouped(
        said("a", *opening, conversation_id="x"),
        said("b", *opening, assistant("Where?"), user("Bonn"), conversation_id="y"),
        said("c", GREETING, user("Two for Scream please"), conversation_id="z"),
    )

    assert together(groups) == {frozenset("ab"), frozenset("c")}


def test_an_opening_more_frequent_than_the_cap_does_not_link_dialogues() -> None:
    hello = user("Hello")
    groups = grouped(
        *[said(f"bare-{n}", hello, conversation_id=f"c{n}") for n in range(3)],
        said("refund", hello, assistant("Hi!"), user("I want my money back")),
        said("refund-later", hello, assistant("Hi!"), user("I want my money back"), assistant("Which order?"), user("4711")),
        said("trains", hello, assistant("Hi!"), user("Which trains go to Bonn?")),
        cap=2,
    )

    assert together(groups) == {
        frozenset({"bare-0", "bare-1", "bare-2"}),
        frozenset({"refund", "refund-later"}),
        frozenset({"trains"}),
    }
    assert groups.continued_by[groups.group["bare-0"]] == {groups.group["refund"], "trains"}
    assert groups.common_openings == 1


def test_a_beginning_is_followed_until_few_enough_share_it() -> None:
    menu = (user("start"), assistant("Which language?"), user("English"), assistant("What is it about?"))
    rows = [
        said(f"{topic}-{n}", *menu, user(topic), assistant("Which one?"), user(f"Number {n}"))
        for topic in ("tickets", "parcels")
        for n in range(3)
    ]
    rows.append(said("start", menu[0]))

    assert together(grouped(*rows, cap=3)) == {
        frozenset({"tickets-0", "tickets-1", "tickets-2"}),
        frozenset({"parcels-0", "parcels-1", "parcels-2"}),
        frozenset({"start"}),
    }
    assert grouped(*rows, cap=3).continued_by == {"start": {"tickets-0", "parcels-0"}}


def test_nearly_the_same_example_at_the_end_of_other_dialogues_is_linked() -> None:
    def ended(name: str, opening: str, question: str, answer: str) -> Interaction:
        turns = (user(opening), *(assistant("Yes?"), user("One moment")) * 2, assistant("I am here"), user(question))
        return said(name, *turns, response=assistant(answer))

    question, answer = "Please send the invoice of my last order again", "I have sent the invoice to your address again."
    groups = grouped(
        ended("a", "Good morning", question, answer),
        ended("b", "My parcel is late", question.replace("invoice", "invioce"), answer),
        ended("c", "Which trains go to Bonn?", question.replace("invoice", "ticket"), answer.replace("invoice", "ticket")),
    )

    assert together(groups) == {frozenset("ab"), frozenset("c")}


def test_busy_people_and_frequent_questions_do_not_make_one_group_of_everything() -> None:
    chance = Random(0)
    rows = [
        said(f"{person:02}-{question:02}", user(f"How is {chr(97 + question) * 9} done?"), user_id=f"person {person}")
        for person in range(30)
        for question in range(30)
        if chance.random() < 0.2
    ]
    groups = grouped(*rows, cap=10)

    assert max(map(len, groups.members.values())) <= 40
    assert {kind for kind, _ in groups.refused} == {"user"}


def test_tool_calls_after_the_opening_are_part_of_the_trunk() -> None:
    def looked_up(place: str) -> tuple[Message, ...]:
        call = ToolCall(id="1", function=FunctionCall(name="find", arguments=f'{{"place": "{place}"}}'))
        return (
            user("Hello"),
            Message(role="assistant", tool_calls=(call,)),
            Message(role="tool", content=place, tool_call_id="1"),
        )

    groups = grouped(
        said("a", *looked_up("Bonn")), said("b", *looked_up("Bonn"), user("More")), said("c", *looked_up("Köln")), cap=2
    )

    assert together(groups) == {frozenset("ab"), frozenset("c")}


def test_the_same_question_with_a_typo_is_linked_and_with_another_number_is_not() -> None:
    question = "i was charged twice for order 4711 and would like to have the second payment returned"
    groups = grouped(
        said("a", user(question)),
        said("b", user(question.replace("payment", "paymnet"))),
        said("c", user(question.replace("4711", "4712"))),
    )

    assert together(groups) == {frozenset("ab"), frozenset("c")}


def test_a_user_is_one_group_unless_the_account_is_shared_by_many() -> None:
    rows = [said(name, user(f"Question about {name * 8}"), user_id="ann") for name in "abc"]

    assert together(grouped(*rows)) == {frozenset("abc")}
    assert together(grouped(*rows, cap=2)) == {frozenset("a"), frozenset("b"), frozenset("c")}


def test_instructions_of_the_application_do_not_separate_a_dialogue() -> None:
    groups = grouped(
        said("a", Message(role="system", content="It is 12:00."), user("Is it open?")),
        said("b", Message(role="system", content="It is 12:01."), user("Is it open?"), assistant("Yes"), user("Until when?")),
    )

    assert together(groups) == {frozenset("ab")}


def test_an_interaction_without_messages_stands_alone() -> None:
    assert together(grouped(said("a"), said("b", user("Hi")))) == {frozenset("a"), frozenset("b")}


def test_a_group_is_called_after_its_earliest_member_whatever_the_order() -> None:
    rows = [said(f"{9 - n}", user("Is it open?"), started_at=NOON + timedelta(minutes=n)) for n in range(6)]
    rows += [said(f"other-{n}", user(f"About {n} elephants"), conversation_id="one") for n in range(3)]
    shuffled = Random(1).sample(rows, len(rows))

    assert grouped(*rows) == grouped(*shuffled)
    assert grouped(*rows).group["4"] == "9"
