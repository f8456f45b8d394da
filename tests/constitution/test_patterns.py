import time

import pytest

from continuum.constitution.patterns import PatternCheck, compiled
from continuum.errors import ConfigurationError


def test_an_answer_holds_what_it_must_and_nothing_that_it_must_not():
    check = PatternCheck("lawyer|attorney", r"\byou should sue\b")

    assert check("", "Please ask a LAWYER.")
    assert not check("", "Please ask someone.")
    assert not check("", "Ask a lawyer, but you should  sue".replace("  ", " "))
    assert PatternCheck(None, None)("", "anything")


def test_the_end_of_a_long_answer_is_looked_at_too():
    check = PatternCheck(None, "you should sue")

    assert not check("", "a " * 8000 + "you should sue")
    assert not check("", "a" * 995 + "you should sue")


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+$",
        "(a|a)*b",
        "(.*)(.*)x",
        r"(a)\1",
        "(?:x+x+)+y",
        "([a-z]+){10}",
        "a{2,4000}b{2,4000}",
        "(a?){30}a{30}",
        "(a",
        "",
        "a" * 301,
    ],
)
def test_a_pattern_that_could_take_very_long_is_refused(pattern: str):
    with pytest.raises(ConfigurationError, match="pattern"):
        compiled(pattern)


@pytest.mark.parametrize(
    "pattern",
    [r"\bnot legal advice\b", "ask a (lawyer|attorney)", "sorry.{0,40}cannot", "^no[.,!]?", "(ab|c){2}", r"a.*b", "[a-z]+ly"],
)
def test_what_is_written_every_day_is_taken_and_never_takes_long(pattern: str):
    begun, check = time.process_time(), PatternCheck(None, pattern)

    for text in ("a" * 20_000, "sorry " * 3_000, "ask a " * 3_000, "ab" * 10_000, "no"):
        check("", text)

    # What could run away takes hours here.
    assert time.process_time() - begun < 30
