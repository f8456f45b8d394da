"""What only this machine reaches, and the names by which a page from elsewhere could reach it all the same.

A page may have its own name point at 127.0.0.1 once it is loaded, and then ask a server there as if it were its own (DNS
rebinding). The browser still says by which name it asks: in the Host header.
"""

from contextlib import suppress
from functools import lru_cache
from ipaddress import ip_address
from urllib.parse import urlsplit

NOBODYS = (".localhost", ".local", ".internal", ".test", ".home.arpa")
"""Ends of names that nobody can register: no public name service answers for them."""


def is_address(host: str) -> bool:
    """Whether it is a number, which no name service can point elsewhere."""
    with suppress(ValueError):
        ip_address(host)
        return True
    return False


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a host."""
    return host == "localhost" or (is_address(host) and ip_address(host).is_loopback)


def host_in(header: str) -> str | None:
    """The name in a Host header, in lower case; None where there is none."""
    with suppress(ValueError):
        return urlsplit(f"//{header}").hostname
    return None


@lru_cache(maxsize=256)
def is_strangers(header: str | None) -> bool:
    """Whether a Host header holds a name that somebody elsewhere may own; a browser sends the header with every request."""
    if header is None:
        return False
    name = host_in(header)
    if name is None:
        return True
    # What has no dot, like a container's name, is no public name either.
    return not is_address(name) and "." in name.rstrip(".") and not name.rstrip(".").endswith(NOBODYS)
