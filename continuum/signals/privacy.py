"""Personal data taken out of a draft in the application's own time, for those whose plaintext must never touch a disk."""

from typing import Any

from continuum.spool.cleaning import id_text


def redact(draft: dict[str, Any], name: str) -> None:
    """Take personal data out of every text of the draft, and put a hash in place of the user.

    Args:
        draft: is changed.
        name: of the redactor.

    Raises:
        Exception: of any kind, from a redactor; the draft must not be kept then.
    """
    from continuum.spool.redaction import redact_message, redactor_named
    from continuum.spool.users import hashed_user, user_key

    redactor = redactor_named(name)
    draft["messages"] = [redact_message(message, redactor) for message in draft["messages"]]
    if draft.get("response") is not None:
        draft["response"] = redact_message(draft["response"], redactor)
    if draft.get("error") is not None:
        draft["error"] = redactor.redact(draft["error"])
    draft["tags"] = {tag: redactor.redact(text) for tag, text in draft["tags"].items()}
    user = id_text(draft.pop("user_id", None))
    if user is not None:
        draft["user_hash"] = hashed_user(user, user_key())
    draft["redaction"] = redactor.version
