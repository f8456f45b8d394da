"""A report as a page that stands for itself: it runs no script, loads nothing, and sends nothing anywhere.

The page carries its own rules for the browser (a content security policy by the hash of its style sheet), so that even markup
that slipped through would neither run nor load anything. It reads without a style sheet, where a server forbids those.
"""

from base64 import b64encode
from collections.abc import Iterable
from hashlib import sha256
from html import escape

from continuum.excerpts import excerpt

POLICY = "default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
TITLE = 1200
"""Characters of a title that are kept."""


def page_of(title: str, style: str, parts: Iterable[str]) -> str:
    """The whole page.

    Args:
        title: anybody's words; they are escaped.
        style: CSS, the only one that the page obeys.
        parts: HTML, in which all of a user's, a model's or a policy's words are escaped; empty ones are left out.
    """
    digest = b64encode(sha256(style.encode()).digest()).decode()
    head = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY.format(digest=digest)}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><meta name="referrer" content="no-referrer">'
        f"<title>{escape(excerpt(title, TITLE))}</title><style>{style}</style></head><body><main>\n"
    )
    return head + "\n".join(part for part in parts if part) + "\n</main></body></html>\n"
