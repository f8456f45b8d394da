"""Words of the forgotten are found wherever they are quoted, however they are written there, and words of others are not."""

import json
import random
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuum.erasing.words import GONE, Runs, Taking, texts_of
from continuum.records import Message
from tests.builders import an_interaction

SAID = "My neighbour Theodora keeps seven grey geese behind the old mill"
COMMON = "Thank you for your patience, have a nice day and goodbye"


def runs(*texts: str, others: tuple[str, ...] = ()) -> Runs:
    found = Runs("key")
    found.add(texts)
    found.discard(others)
    return found


def taking(*texts: str, **stones: str) -> Taking:
    return Taking({name.replace("_", "-"): stone for name, stone in stones.items()}, runs(*texts))


def test_a_quote_is_found_in_an_excerpt_a_page_and_an_address() -> None:
    found = runs(SAID)

    assert found.stand_in("worst: 'neighbour Theodora keeps seven grey geese…'")
    assert found.stand_in("<p>neighbour&#32;Theodora&#32;keeps&#32;seven&#32;grey</p>")
    assert found.stand_in(f"data:image/svg+xml,{quote(SAID)}")
    assert found.stand_in("MY NEIGHBOUR, THEODORA: KEEPS *SEVEN* GREY")


def test_what_others_say_too_is_nobodys_own() -> None:
    assert not runs(f"{SAID}. {COMMON}", others=(COMMON,)).stand_in(f"They wrote: {COMMON}!")
    assert runs(f"{SAID}. {COMMON}", others=(COMMON,)).stand_in(SAID)


def test_a_single_word_is_found_where_it_is_rare_and_a_short_text_where_it_is_whole() -> None:
    assert runs("Order ZX81-4711B9 is late").stand_in("see order 4711b9")
    assert not runs("Order is late").stand_in("the order came")
    assert runs("Theodora Papadopoulos").stand_in("asked by Theodora Papadopoulos today")


def test_no_word_is_kept() -> None:
    assert not any(word in json.dumps(sorted(runs(SAID).hashes)) for word in ("Theodora", "geese"))


def test_an_entry_of_an_erased_interaction_loses_its_words_and_keeps_its_numbers() -> None:
    entry = {"interaction_id": "gone-1", "question": "short?", "scores": {"t": [1.0, 0.5]}, "answers": ["h", "h"]}

    left = taking(gone_1="erased-x").out_of({"worst": [entry, {"interaction_id": "kept", "question": "short?"}]})

    assert left == {
        "worst": [
            {"interaction_id": "erased-x", "question": GONE, "scores": {"t": [1.0, 0.5]}, "answers": [None, None]},
            {"interaction_id": "kept", "question": "short?"},
        ]
    }


def test_json_within_json_stays_json() -> None:
    event = json.dumps({"metadata": {"report": {"md": f"| {SAID} |"}, "raw": json.dumps({"id": "gone-1", "n": 5})}})

    left = json.loads(taking(SAID, gone_1="erased-x").out_of_text(event))

    assert left["metadata"]["report"] == {"md": GONE}
    assert json.loads(left["metadata"]["raw"]) == {"id": "erased-x", "n": 5}


def test_of_a_log_the_lines_go_that_quote_and_the_others_stay() -> None:
    log = f"begun\n{SAID}\nrow gone-1 read\nended\n"

    assert taking(SAID, gone_1="erased-x").out_of_text(log) == f"begun\n{GONE}\nrow erased-x read\nended\n"


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=300))
def test_what_quotes_nothing_is_left_as_it_is(text: str) -> None:
    assert taking(gone_0="erased-x").out_of_text(text) == text


@given(st.lists(st.sampled_from(["alpha", "beta", "gamma", "delta", "omega"]), min_size=5, max_size=20), st.text(max_size=20))
def test_a_text_stands_in_itself_whatever_is_around_it(words: list[str], around: str) -> None:
    assert runs(" ".join(words)).stand_in(f"{around} {' '.join(words)} {around}")


@given(
    st.lists(
        st.sampled_from(["Grüße", "aus", "Köln", "zürich", "naïve", "façade", "🚀", "übel"]), min_size=5, max_size=9, unique=True
    )
)
def test_json_that_escapes_what_is_not_ascii_hides_nothing(words: list[str]) -> None:
    said = " ".join(words)
    event = json.dumps({"metadata": json.dumps({"worst": said, "n": 5})})

    left = json.loads(json.loads(taking(said).out_of_text(event))["metadata"])

    assert left == {"worst": GONE, "n": 5}


def test_lines_of_few_words_are_found_within_json() -> None:
    said = "keeps geese\nbehind mill\nnear the pond"

    assert json.loads(taking(said).out_of_text(json.dumps({"a": said}))) == {"a": GONE}


def test_a_language_without_spaces_is_found_in_an_excerpt() -> None:
    said = "私の口座番号を昨日から忘れてしまいました"

    assert runs(said).stand_in(f"最悪の例：{said[3:12]}…")
    assert not runs(said, others=("昨日から忘れてしまいました",)).stand_in("昨日から忘れてしまいました")
    assert not runs(said).stand_in("今日は天気がとても良いです")


def test_an_address_and_a_long_number_are_found_in_any_text() -> None:
    found = runs("Write to theodora.papas@geese.example or call 004917012345678 after noon please")

    assert found.stand_in("contact theodora.papas@geese.example now")
    assert found.stand_in("tel=004917012345678")


def test_what_a_model_thought_and_what_a_message_carries_beside_its_words_is_said_too() -> None:
    messages = (Message.model_validate({"role": "user", "content": "Hi", "name": "Theodora Papadopoulos"}),)
    answer = Message.model_validate({"role": "assistant", "content": "Yes", "reasoning_content": SAID})

    said = texts_of(an_interaction(messages=messages, response=answer))

    assert runs(*said).stand_in(f"thought: {SAID}")
    assert runs(*said).stand_in("from Theodora Papadopoulos")


def test_an_id_within_a_longer_id_is_another_id() -> None:
    left = taking(row_1="erased-x").out_of_text("row-1 row-12 row-1-b arrow-1 (row-1) row-1.")

    assert left == "erased-x row-12 row-1-b arrow-1 (erased-x) erased-x."


@pytest.mark.parametrize("plain", ["7", "root", "python", "1", "home", "2026", "user1"])
def test_an_id_that_is_a_common_word_or_a_short_number_goes_only_where_a_field_names_it(plain: str) -> None:
    found = Taking({plain: "erased-x"}, Runs("key"))
    event = {
        "python": "/root/home/python",
        "epochs": plain,
        "interaction_id": plain,
        "at": f"{plain} of 2026 by root",
        "user_id": plain,
    }

    left = json.loads(found.out_of_text(json.dumps(event)))

    assert left == event | {"interaction_id": "erased-x", "user_id": "erased-x"}
    assert found.out_of_text(f"{plain} of 9") == f"{plain} of 9"
    assert found.plain == 1


def test_an_id_in_json_within_json_and_beyond_ascii_is_found() -> None:
    name = "jürgen-77"
    found = Taking({name: "erased-x"}, Runs("key"))

    left = json.loads(json.loads(found.out_of_text(json.dumps({"m": json.dumps({"a": f"line\n{name}"})})))["m"])

    assert left == {"a": "line\nerased-x"}


@given(st.sets(st.from_regex(r"[a-z]{2,4}[-_:.][0-9]{2,5}", fullmatch=True), min_size=1, max_size=20), st.randoms())
def test_of_many_ids_each_is_replaced_where_it_stands_alone(ids: set[str], rng: random.Random) -> None:
    ordered = sorted(ids)
    rng.shuffle(ordered)
    gone = dict.fromkeys(ordered[: len(ordered) // 2 + 1], "erased-x")

    left = Taking(gone, Runs("key")).out_of_text(" ".join(ordered))

    assert left.split(" ") == [gone.get(one, one) for one in ordered]


def test_words_in_lists_of_an_erased_entry_go_too() -> None:
    entry = {"interaction_id": "gone-1", "turns": [{"text": "short?", "n": 1}], "judges": [[{"comment": "no"}]]}

    left = taking(gone_1="erased-x").out_of(entry)

    assert left == {"interaction_id": "erased-x", "turns": [{"text": GONE, "n": 1}], "judges": [[{"comment": GONE}]]}
