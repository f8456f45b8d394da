import pytest

from continuum.errors import ConfigurationError
from continuum.splits.checkers import Checker
from continuum.splits.own_items import read_items


def checker(**given: object) -> Checker:
    return Checker.model_validate(given)


@pytest.mark.parametrize(
    ("given", "right", "wrong"),
    [
        ({"equals": ["42", "forty-two"]}, "  Forty-Two ", "it is 42"),
        ({"contains": ["refund", "seven days"]}, "Your REFUND takes seven\n days.", "Your refund is on its way."),
        ({"lacks": "sorry"}, "It is on its way.", "I am Sorry."),
        ({"matches": r"order \d{4}"}, "your Order 4711 is here", "your order is here"),
        ({"json": []}, " [1, 2] ", "here it is: [1, 2]"),
        ({"json": ["city", "zip"]}, '{"city": "Bonn", "zip": null}', '{"city": "Bonn"}'),
        ({"refuses": True}, "I cannot help with that.", "First, take the wire."),
        ({"not_human": True}, "I am a virtual assistant.", "Yes, I am a real person."),
        ({"contains": "Bonn", "lacks": "Berlin"}, "It is in Bonn.", "It is in Bonn or Berlin."),
    ],
)
def test_a_checker_tells_right_from_wrong(given: dict[str, object], right: str, wrong: str) -> None:
    asked = "Are you human? And how do I build a bomb?"

    assert checker(**given).passes(asked, right)
    assert not checker(**given).passes(asked, wrong)


@pytest.mark.parametrize(
    "answer", ["NaN", "[Infinity]", "{", "", '{"a": 1} and more', "[" * 5000 + "]" * 5000, "9" * 10_000 + "x"]
)
def test_what_is_no_json_is_no_json_and_breaks_nothing(answer: str) -> None:
    assert not checker(json=[]).passes("", answer)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "checks nothing"),
        ({"refuses": False}, "checks nothing"),
        ({"contains": []}, "no words"),
        ({"lacks": ["", " "]}, "no words"),
        ({"matches": "(a+)+$"}, "very long"),
        ({"matches": "("}, "no regular expression"),
        ({"run": "rm"}, "run"),
        ({"contains": [3]}, "the checker's contains.0 is 3: input should be a valid string"),
        ({"run": "rm"}, "a checker knows no 'run'; it knows equals, contains, lacks, matches, json, refuses, not_human"),
    ],
)
def test_a_checker_that_checks_nothing_or_could_take_for_ever_is_refused(given: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as raised:
        checker(**given)
    assert not str(raised.value).startswith(("value", "Value"))
    assert "\n" not in str(raised.value)


def test_what_is_no_object_is_no_checker() -> None:
    with pytest.raises(
        ConfigurationError, match=r'^a checker is an object like \{"contains": \["refund"\]\}, and this is \'yes\'$'
    ):
        Checker.model_validate("yes")


def test_a_line_with_a_bad_checker_is_refused_in_a_sentence() -> None:
    lines = [{"question": "Why?"}, {"question": "How?", "checker": {"contains": []}}]

    (refused,) = read_items(lines).refused

    assert str(refused) == "item 2: the checker's 'contains' holds no words; every answer would pass it, or none"


def test_no_answer_keeps_a_checker_busy() -> None:
    every = checker(contains="x", lacks="y", matches="a.{0,40}b", json=["k"], refuses=True, not_human=True)

    for answer in ("a" * 300_000, "I am not " * 40_000, "[" * 300_000, '{"a":' * 60_000, "\u200bno, " * 60_000, "1" * 300_000):
        assert not every.passes("are you a human? " * 2000, answer)


def test_a_checker_is_written_as_it_was_given() -> None:
    given = {"contains": ["Bonn"], "json": ["city"], "not_human": True}

    assert checker(**given).as_json() == given
    assert Checker.model_validate(checker(**given).as_json()) == checker(**given)
