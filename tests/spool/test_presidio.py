"""Presidio, for real, where it is installed."""

import socket

import pytest

from continuum.spool.redaction import Redactor, redactor_named

pytest.importorskip("presidio_analyzer")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]


@pytest.fixture(scope="module")
def presidio() -> Redactor:
    return redactor_named("presidio")


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise AssertionError("a redactor must not talk to the network")

    monkeypatch.setattr(socket, "getaddrinfo", refused)
    monkeypatch.setattr(socket.socket, "connect", refused)


def test_the_version_names_presidio_the_model_and_the_patterns(presidio: Redactor) -> None:
    assert presidio.version.startswith("presidio-2.")
    assert presidio.version.endswith("+builtin-1")


def test_presidio_finds_what_the_patterns_find_and_more(presidio: Redactor) -> None:
    text = "Mail jane@example.co.uk, card 4111 1111 1111 1111, "
    text += "wallet 1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2, key sk-proj-abcDEF0123456789abcdef"
    assert presidio.redact(text) == "Mail [EMAIL], card [CARD], wallet [CRYPTO], key [SECRET]"


def test_its_own_mail_recogniser_works_without_the_network(presidio: Redactor) -> None:
    assert presidio.found_by_presidio("write to jane@example.co.uk") == "write to [EMAIL]"  # type: ignore[attr-defined]


def test_dates_links_and_orders_stay(presidio: Redactor) -> None:
    text = "order 12345678 of 2024-05-12, see https://example.com/orders"
    assert presidio.redact(text) == text


def test_redacting_twice_changes_nothing(presidio: Redactor) -> None:
    once = presidio.redact("jane@example.com 617-555-0123 4111111111111111 078-05-1120")
    assert presidio.redact(once) == once
