from hypothesis import given
from hypothesis import strategies as st

from continuum.spool.headers import decode, encode


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=60))
def test_any_id_travels_in_a_header_and_comes_back_as_it_was(value: str) -> None:
    encoded = encode(value)

    assert encoded is not None
    assert encoded.isascii()
    assert encoded.isprintable()
    assert decode(encoded) == value


def test_what_is_too_long_for_a_header_does_not_travel() -> None:
    assert encode("x" * 2000) is None


def test_an_ordinary_id_is_readable_on_the_way() -> None:
    assert encode("user-7@example.com") == "user-7@example.com"
