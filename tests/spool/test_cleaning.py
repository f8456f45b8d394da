import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from continuum.spool.cleaning import Snapshot, clean_text, described, id_text, names_secret

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()) | st.integers(), inner) | st.tuples(inner),
    max_leaves=20,
)


class Hostile:
    def __repr__(self) -> str:
        raise RuntimeError("no")

    __str__ = __repr__


@given(anything)
def test_a_snapshot_of_anything_is_json_that_utf8_and_postgres_take(value: object) -> None:
    text = json.dumps(Snapshot().take(value), allow_nan=False, ensure_ascii=False)

    text.encode()
    assert "\\u0000" not in text.replace("\\\\", "")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(codec="utf-8", exclude_characters="\0")),
        st.lists,
    )
)
def test_a_snapshot_of_clean_data_is_equal_to_it(value: object) -> None:
    assert Snapshot().take(value) == value


def test_nul_and_lone_surrogates_are_replaced_and_other_text_is_left_alone() -> None:
    assert clean_text("a\x00b\ud800c") == "a\ufffdb\ufffdc"
    assert clean_text("é 漢 🎬") == "é 漢 🎬"
    assert clean_text("abcdef", 4) == "abc…"


def test_a_snapshot_stops_at_its_budget_and_says_so() -> None:
    snapshot = Snapshot(10)

    assert snapshot.take(["12345", "1234567890"]) == ["12345", "12345…"]
    assert snapshot.truncated


def test_a_snapshot_of_a_million_items_takes_the_first_ones_only() -> None:
    snapshot = Snapshot(nodes=100)

    assert len(snapshot.take(list(range(10**6)))) == 99
    assert snapshot.truncated


def test_a_list_inside_itself_does_not_run_forever() -> None:
    loop: list[object] = []
    loop.append(loop)
    snapshot = Snapshot()

    snapshot.take(loop)

    assert snapshot.truncated


def test_a_snapshot_shares_nothing_with_what_it_copied() -> None:
    original = {"role": "user", "parts": ["a"]}
    copy = Snapshot().take(original)
    original["parts"].append("b")  # type: ignore[union-attr]

    assert copy == {"role": "user", "parts": ["a"]}


def test_pydantic_objects_are_copied_as_their_data() -> None:
    class Order(BaseModel):
        number: int
        note: str | None = None

    assert Snapshot().take([Order(number=1)]) == [{"number": 1}]


def test_things_that_are_not_data_become_short_text() -> None:
    assert described({"a": [1, None]}) == '{"a": [1, null]}'
    assert described("x" * 500, 10) == "x" * 9 + "…"
    assert described(Hostile()) == "<Hostile without a repr>"
    assert described(object).startswith("<class")


def test_an_id_is_short_clean_text_whatever_it_was() -> None:
    assert id_text(None) is None
    assert id_text("") is None
    assert id_text(7) == "7"
    assert id_text(Hostile()) == "<Hostile without a str>"
    assert len(id_text("x" * 10_000) or "") == 500


@pytest.mark.parametrize(
    "name", ["key", "api_key", "OPENAI_API_KEY", "apiKey", "X-Api-Key", "accessToken", "Authorization", "pwd"]
)
def test_names_of_secrets_are_known_however_they_are_written(name: str) -> None:
    assert names_secret(name)


@pytest.mark.parametrize("name", ["keyword", "max_tokens", "monkey", "author", "secretary", "turkeyKind", ""])
def test_other_names_are_no_secrets(name: str) -> None:
    assert not names_secret(name)
