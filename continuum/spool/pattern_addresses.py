"""Mail and IP addresses in text."""

import re
from collections.abc import Iterator
from ipaddress import AddressValueError, IPv6Address

from continuum.spool.pattern_context import about_version

Spans = Iterator[tuple[int, int]]

LOCAL_PART = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]{1,64}\Z")
QUOTED_LOCAL_PART = re.compile(r'"[^"\n]{1,62}"\Z')
DOMAIN = re.compile(r"(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}(?:xn--[a-z0-9-]{2,59}|[^\W\d_]{2,24})(?![\w@])", re.IGNORECASE)
SPELLED_AT = re.compile(r" ?(?:\(at\)|\[at\]|\{at\}) ?", re.IGNORECASE)
SPELLED_DOT = r"(?:\.| ?(?:\(dot\)|\[dot\]|\{dot\}|\(punkt\)|\[punkt\]) ?)"
SPELLED_DOMAIN = re.compile(
    rf"[\w-]{{1,63}}(?:{SPELLED_DOT}[\w-]{{1,63}}){{0,5}}{SPELLED_DOT}[^\W\d_]{{2,24}}(?!\w)", re.IGNORECASE
)
# What ends like a name of a file or of a remote is none: `icon@2x.png`, `git@github.com:owner/name`.
FILE_ENDING = re.compile(r"\.(?:png|jpe?g|gif|svg|webp|ico|css|js|mjs|ts|tsx|json|html?|py|md|txt|ya?ml)\Z", re.IGNORECASE)
# What people put before an address, and is legal inside one.
LEADING = "'`*/={|}?&#!^~.-$%"

OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
IPV4 = re.compile(rf"(?<![\w.\-])(?<!==)(?<![A-Za-z]/)(?:{OCTET}\.){{3}}{OCTET}(?![\w\-]|\.[0-9])")
# Searched in text in which every digit is a zero: a pattern that begins with a literal is found at the speed of `find`.
FOUR_NUMBERS = re.compile(rb"0{1,3}+\.0{1,3}+\.0{1,3}+\.0")
# Loopback, unspecified and masks say nothing about anybody.
NOBODYS = ("127.", "0.", "255.")
IPV6 = re.compile(r"(?<![\w:.])(?:[0-9a-fA-F]{0,4}:){2,7}(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3}|[0-9a-fA-F]{0,4})(?![\w:])")


def mails(text: str) -> Spans:
    """Mail addresses, from their `@` to both sides."""
    at = text.find("@")
    while at >= 0:
        domain = DOMAIN.match(text, at + 1)
        window = text[max(0, at - 64) : at]
        local = domain and (LOCAL_PART.search(window) or QUOTED_LOCAL_PART.search(window))
        if domain and local and not FILE_ENDING.search(domain[0]):
            name = local[0] if local[0].startswith('"') else local[0].rsplit("=", 1)[-1].rsplit("://", 1)[-1].lstrip(LEADING)
            if name and not (name == "git" and text[domain.end() : domain.end() + 1] == ":"):
                yield at - len(name), domain.end()
        at = text.find("@", at + 1)


def spelled_mails(text: str) -> Spans:
    """Mail addresses with `(at)` in place of the sign."""
    for at in SPELLED_AT.finditer(text):
        local = re.search(r"[\w.+-]{1,64}\Z", text[max(0, at.start() - 64) : at.start()])
        domain = SPELLED_DOMAIN.match(text, at.end())
        if local and domain:
            yield at.start() - len(local[0]), domain.end()


def ipv4(text: str, same: bytes) -> Spans:
    """IPv4 addresses; four numbers behind a word like `version` are a version. `same` is the text with every digit a zero."""
    for place in FOUR_NUMBERS.finditer(same):
        found = IPV4.match(text, place.start())
        if found and not found[0].startswith(NOBODYS) and not about_version(text, found.start()):
            yield found.span()


def ipv6(text: str) -> Spans:
    """IPv6 addresses that stand for a machine; `a::b` without a digit is code."""
    for found in IPV6.finditer(text):
        candidate = found[0]
        if not any(map(str.isdigit, candidate)) or (len(candidate) < 6 and "::" in candidate):
            continue
        try:
            address = IPv6Address(candidate)
        except AddressValueError:
            continue
        if not (address.is_loopback or address.is_unspecified):
            yield found.span()
