"""Regular expressions that users write as checks: only such as can never take long, whatever text they meet."""

import re
from dataclasses import dataclass
from functools import lru_cache
from re import _constants as codes  # pyright: ignore[reportAttributeAccessIssue]
from re import _parser as parser  # pyright: ignore[reportAttributeAccessIssue]
from typing import Any

from continuum.errors import ConfigurationError

LONGEST_PATTERN = 300
WINDOW = 1000
"""Characters that a pattern is tried on at once; windows overlap by `OVERLAP`."""
OVERLAP = 200
LONGEST_TEXT = 20_000
"""Of an answer no more than this is looked at."""
MOST_WAYS = 4000
"""Ways in which a pattern may try to fit from one place: with `WINDOW` places that is a blink at worst."""


@dataclass(frozen=True)
class PatternCheck:
    """Whether an answer holds what it must, and nothing that it must not; case does not count."""

    must: str | None
    must_not: str | None

    def __post_init__(self) -> None:
        for pattern in (self.must, self.must_not):
            if pattern is not None:
                compiled(pattern)

    def __call__(self, prompt: str, answer: str) -> bool:
        """Whether the answer keeps to it; the question plays no part."""
        if self.must is not None and not _found(self.must, answer):
            return False
        return self.must_not is None or not _found(self.must_not, answer)


@lru_cache(maxsize=64)
def compiled(pattern: str) -> re.Pattern[str]:
    """The pattern, ready to be used.

    Raises:
        ConfigurationError: it is no regular expression, is too long, or could take very long on some text.
    """
    if not pattern or len(pattern) > LONGEST_PATTERN:
        raise ConfigurationError(f"a pattern of {len(pattern)} characters was given; 1 to {LONGEST_PATTERN} are allowed")
    try:
        tree = parser.parse(pattern, re.IGNORECASE)
        ways = _ways(tree)
        ready = re.compile(pattern, re.IGNORECASE)
    except (re.error, RecursionError, OverflowError) as error:
        raise ConfigurationError(f"the pattern {pattern!r} is no regular expression: {error}") from error
    if ways > MOST_WAYS:
        raise ConfigurationError(
            f"the pattern {pattern!r} could take very long on some texts; use one * or + at most, none inside another repeat, "
            "no reference to a group, and bounds like .{0,40} instead"
        )
    return ready


def _found(pattern: str, text: str) -> bool:
    ready = compiled(pattern)
    text = text[:LONGEST_TEXT]
    return any(ready.search(text, start, start + WINDOW) for start in range(0, max(1, len(text) - OVERLAP), WINDOW - OVERLAP))


def _ways(items: Any) -> int:
    """In how many ways a parsed pattern can go on from one place before it gives up, from above."""
    ways = 1
    for code, value in items:
        ways = min(ways * _ways_of(code, value), MOST_WAYS + 1)
    return ways


def _ways_of(code: Any, value: Any) -> int:
    if code is codes.BRANCH:
        return sum(_ways(option) for option in value[1])
    if code is codes.SUBPATTERN:
        return _ways(value[-1])
    if code in (codes.ASSERT, codes.ASSERT_NOT):
        return _ways(value[1])
    if code is codes.ATOMIC_GROUP:
        return _ways(value)
    if code in (codes.GROUPREF, codes.GROUPREF_EXISTS):
        return MOST_WAYS + 1
    if code in (codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT):
        least, most, body = value
        most = min(int(most), WINDOW)
        inner = _ways(body)
        if inner == 1:
            return most - min(int(least), most) + 1
        return inner ** min(most + 1, 20) if most else 1
    return 1
