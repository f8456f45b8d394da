"""Captured words where they are shown: in one short line that can do nothing to a terminal or a page."""

import re
import unicodedata

LENGTH = 80
"""Characters of an excerpt: enough to know an intent by, too few to be read instead of the data."""
ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|.)|\x9b[0-?]*[ -/]*[@-~]", re.DOTALL)
"""What steers a terminal, with what it says."""
SPACE = re.compile(r"\s+")
MARKUP = re.compile(r"([\\`*_{}\[\]()<>#!|~&$@]|(?<=:)/|(?<=www)\.|^[-+=](?=\s|$)|(?<=^\d)[.)])", re.IGNORECASE)


def excerpt(text: str, length: int = LENGTH) -> str:
    """A text in one line without anything that cannot be seen, cut to a length.

    Controls, escapes to a terminal, marks that turn the direction of writing, half surrogate pairs and unassigned characters are
    left out.
    """
    # More than is shown is looked at, because spaces run together; never all of a huge text.
    head = ESCAPES.sub(" ", text[: 8 * length])
    line = SPACE.sub(" ", "".join(" " if one.isspace() else one for one in head if one.isspace() or _seen(one))).strip()
    cut = len(line) > length or len(text) > 8 * length
    return f"{line[: length - 1].rstrip()}…" if cut else line


def quoted(text: str, length: int = LENGTH) -> str:
    """A text as a code span of Markdown: nothing in it is markup, a link, HTML, the end of a cell or the end of the span.

    A backtick becomes an apostrophe and a pipe a broken bar; an empty text says so.
    """
    line = excerpt(text, length).replace("`", "'").replace("|", "¦")
    return f"`{line}`" if line else "(nothing)"


def prose(text: str, length: int = 1200) -> str:
    """A sentence of a report as a line of Markdown that reads as it stands: what would be markup or a link is escaped."""
    return MARKUP.sub(r"\\\1", excerpt(text, length))


def _seen(character: str) -> bool:
    return unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
