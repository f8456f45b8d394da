"""The HTTP headers by which a captured call and the gateway say that they are one interaction.

A header holds printable ASCII, and an id may be anything, so values travel percent-encoded.
"""

from urllib.parse import quote, unquote

PREFIX = "x-continuum-"
"""What all of them begin with."""
INTERACTION_ID = "x-continuum-interaction-id"
"""In a request: the id to store the call under. In the gateway's answer: the id it was stored under."""
TASK = "x-continuum-task"
CONVERSATION_ID = "x-continuum-conversation-id"
USER_ID = "x-continuum-user-id"
SAMPLED = "x-continuum-sampled"
"""In a request: `0` where the application has decided not to capture the call, which the gateway follows."""
DEPLOYMENT = "x-continuum-deployment"
"""In the gateway's answer: the id of the deployment that routed the call; absent when none did."""
VARIANT = "x-continuum-variant"
"""In the gateway's answer: the arm that answered, `stable` or `canary`."""

MAX_LENGTH = 1024
"""Characters of an encoded value; servers refuse requests whose headers are much longer."""

PRINTABLE = "".join(chr(code) for code in range(33, 127) if chr(code) != "%")


def encode(value: str) -> str | None:
    """A value as a header carries it; None where it is too long to travel."""
    encoded = quote(value, safe=PRINTABLE, errors="replace")
    return encoded if len(encoded) <= MAX_LENGTH else None


def decode(value: str | None) -> str | None:
    """A value that came in a header; None where there was none."""
    return unquote(value) if value else None
