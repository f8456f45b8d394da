"""Ids in texts: each is found where it stands alone, and never within a longer one.

An id that is a common word or a short number says nothing where it stands in a text: `7` is also a number of epochs, and `root`
a folder. Such a one is found only where a field names it.
"""

import re
from collections.abc import Iterator, Mapping

WORD = re.compile(r"[^\W_]+")
SHORTEST = 5
"""Characters of an id with digits and something else in it, from which on it can be told from the words of a text."""
LONG = 16
"""Characters of one with no digit and more than letters in it, from which on it can."""
LONG_NUMBER = 9
"""Digits of a number from which on it can."""
WORD_WITH_NUMBER = re.compile(r"[^\W\d_]+\d{1,2}")
"""Such as `user1` and `python3`."""
NAMING = frozenset(
    {
        *(
            "id",
            "interaction_id",
            "interaction_ids",
            "rejected_id",
            "kept_id",
            "parent_id",
            "near_repeat_of",
            "provider_response_id",
        ),
        *("user_id", "rater", "labeller", "duplicates", "group"),
    }
)
"""Fields whose value is an id."""
# At each mark, for within JSON that is text in JSON the marks are escaped.
QUOTED = re.compile(r'"(?=([^"\\]{1,300})\\*")')
# A backslash escapes in JSON: the letter behind it is not part of a word.
BEFORE = re.compile(r"(?:^|[^\w-]|\\[nrtbf])\Z")


class Names:
    """Ids, each with what stands in its place.

    Args:
        stones: id to what stands in its place.
    """

    def __init__(self, stones: Mapping[str, str]) -> None:
        self.stones = dict(stones)
        self.plain = {name for name in self.stones if not is_distinct(name)}
        """Those that are replaced only where a field names them."""
        # By the rarest word of an id, so that a text is read once however many ids there are.
        self._by_word: dict[str, list[tuple[int, str]]] = {}
        for name in sorted(self.stones.keys() - self.plain, key=len, reverse=True):
            word = max(WORD.finditer(name), key=lambda one: (any(map(str.isdigit, one.group())), len(one.group())))
            self._by_word.setdefault(word.group(), []).append((word.start(), name))

    def stand_in(self, text: str) -> bool:
        """Whether one of the distinct ids stands in a text."""
        return next(self._found(text), None) is not None

    def stand_quoted_in(self, text: str) -> bool:
        """Whether one of the others stands between quotation marks, as the value of a field of JSON would."""
        return bool(self.plain) and any(one in self.plain for one in QUOTED.findall(text))

    def out_of(self, text: str) -> str:
        """A text with what stands in the place of each."""
        pieces, end = list[str](), 0
        for start, name in self._found(text):
            if start >= end:
                pieces += [text[end:start], self.stones[name]]
                end = start + len(name)
        return "".join([*pieces, text[end:]]) if pieces else text

    def of_field(self, field: str, value: str) -> str | None:
        """What stands in the place of a field's whole value; None where it is none of these, or the field names nothing."""
        return self.stones.get(value) if field in NAMING else None

    def _found(self, text: str) -> Iterator[tuple[int, str]]:
        if not self._by_word:
            return
        for word in WORD.finditer(text):
            for offset, name in self._by_word.get(word.group(), ()):
                start = word.start() - offset
                if start >= 0 and text.startswith(name, start) and _stands_alone(text, start, start + len(name)):
                    yield start, name
                    break


def is_distinct(name: str) -> bool:
    """Whether an id can be told from the words and numbers of any text."""
    if not WORD.search(name) or any(map(str.isspace, name)):
        return False
    digits = sum(map(str.isdigit, name))
    if digits == len(name):
        return digits >= LONG_NUMBER
    if "@" in name or len(name) >= LONG:
        return digits > 0 or not name.isalpha()
    return len(name) >= SHORTEST and digits > 0 and WORD_WITH_NUMBER.fullmatch(name) is None


def _stands_alone(text: str, start: int, end: int) -> bool:
    if end < len(text) and re.match(r"[\w-]", text[end]):
        return False
    return BEFORE.search(text[max(0, start - 2) : start]) is not None
