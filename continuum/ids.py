"""Ids that sort by the time they were made."""

import os
import time

IDS_AT_ONCE = 256
ID_END = b"7xxx-yxxx-xxxxxxxxxxxx"
"""Of a UUID of version 7: `x` stands for a random digit, `y` for one of the four that name the variant."""
ID_VARIANTS = bytes.maketrans(b"0123456789abcdef", 4 * b"89ab")
_id_ends: list[str] = []
"""The random ends of ids to come; a child process makes its own."""


def new_id() -> str:
    """A UUID of version 7 (RFC 9562): unique anywhere, and sorted by the time it was made."""
    try:
        end = _id_ends.pop()
    except IndexError:
        end = draw_id_ends()
    milliseconds = time.time_ns() // 1_000_000 & 0xFFFF_FFFF_FFFF
    return f"{milliseconds.to_bytes(6).hex('-', -4)}-{end}"


def draw_id_ends() -> str:
    """The random end of one id; more are put by, since asking the system for each would cost more than the rest of the id."""
    digits = os.urandom(10 * IDS_AT_ONCE).hex().encode()
    ends, length = bytearray(ID_END * IDS_AT_ONCE), len(ID_END)
    for at, position in enumerate(position for position, form in enumerate(ID_END) if form in b"xy"):
        ends[position::length] = digits[at::20].translate(ID_VARIANTS if ID_END[position] in b"y" else None)
    text = ends.decode()
    drawn = [text[at : at + length] for at in range(0, len(text), length)]
    _id_ends.extend(drawn[1:])
    return drawn[0]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_id_ends.clear)
