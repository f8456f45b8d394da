"""Words of the forgotten are found wherever they are quoted, however they are written there, and words of others are not."""

import json
from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st

from continuum.erasing.words import GONE, Runs, Taking

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
