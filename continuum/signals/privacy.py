"""When personal data leaves a draft: here, before anything is written, or in the drainer, or never."""

import logging
from typing import TYPE_CHECKING, Any

from continuum.config import RedactWhen
from continuum.signals import tallies
from continuum.spool.cleaning import id_text

if TYPE_CHECKING:
    from continuum.spool.spool import Spool

logger = logging.getLogger(__name__)


def protect(draft: dict[str, Any], when: RedactWhen | None, spool: "Spool") -> bool:
    """Free the draft of personal data, or have the drainer do it; False where that fails and the draft must not be kept.

    Args:
        draft: is changed.
        when: None for the process's setting.
        spool: knows the settings.
    """
    settings = spool.settings
    when = when or settings.redact
    if when == "drain":
        draft["redact"] = settings.redactor
    elif when == "inline":
        try:
            redact_here(draft, settings.redactor)
        except Exception as error:  # noqa: BLE001  whatever ails the redactor, what it should have freed is not kept
            if tallies.lost() == 1:
                # The error's own words may hold what was to be taken out.
                logger.warning("continuum: captures are lost, redaction failed with %s", type(error).__name__)
            return False
    return True


def redact_here(draft: dict[str, Any], name: str) -> None:
    """Take personal data out of every text of the draft."""
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
