import pytest

from continuum.loopback import host_in, is_loopback, is_strangers


def test_what_is_loopback() -> None:
    assert all(map(is_loopback, ["127.0.0.1", "127.1.2.3", "::1", "localhost"]))
    assert not any(map(is_loopback, ["::", "192.168.0.4", "label.example", ""]))


def test_the_name_in_a_host_header_is_read_as_browsers_write_it() -> None:
    assert [host_in(header) for header in ("A.example:80", "[::1]:80", "[", "")] == ["a.example", "::1", None, None]


@pytest.mark.parametrize(
    "header",
    [
        *("localhost", "localhost:8787", "LOCALHOST", "app.localhost:8787", "127.0.0.1:8787", "[::1]:8787", "192.168.0.4"),
        *(
            "gateway",
            "gateway:8787",
            "laptop.local",
            "host.docker.internal:8787",
            "app.test",
            "box.home.arpa",
            "localhost.",
            None,
        ),
    ],
)
def test_a_name_that_nobody_can_register_is_no_strangers(header: str | None) -> None:
    assert not is_strangers(header)


@pytest.mark.parametrize(
    "header",
    [
        *("evil.example", "evil.example:8787", "127.0.0.1.evil.example", "localhost.evil.example", "evil.example."),
        *("a@evil.example", "[", ""),
    ],
)
def test_a_name_that_somebody_may_own_is_a_strangers(header: str) -> None:
    assert is_strangers(header)
