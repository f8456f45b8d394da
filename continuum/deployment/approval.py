"""Somebody's yes before a step of the ramp: asked of a webhook, or given by hand with `continuum promote`."""

import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from continuum.serving_records import DeploymentRecord

TIMEOUT_S = 10.0
"""An answer that takes longer is no yes."""
MAX_ANSWER_BYTES = 64 * 1024

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Approval:
    """What the hook said."""

    approved: bool
    words: str


Approve = Callable[[DeploymentRecord, float, Mapping[str, Any]], Awaitable[Approval]]
"""Asks whether a deployment may serve this share, on this evidence."""


def is_asked(when: Literal["none", "promotion", "each_step"], record: DeploymentRecord, share: float) -> bool:
    """Whether somebody still has to agree to this share under the policy `approval`."""
    if when == "none" or share <= record.approved_traffic:
        return False
    return when == "each_step" or share >= 1


def approval_hook(url: str, *, timeout_s: float = TIMEOUT_S) -> Approve:
    """Asks a webhook by POST; only HTTP 200 with `{"approved": true}` within the timeout is a yes.

    The body says `deployment_id`, `task`, `model`, `from_traffic`, `to_traffic` and `evidence`. A step that waits is asked for
    again each time the deployment is looked at, with the same `deployment_id` and `to_traffic`.
    """
    host = urlsplit(url).hostname or "the approval hook"

    async def ask(record: DeploymentRecord, share: float, evidence: Mapping[str, Any]) -> Approval:
        import aiohttp

        body = {
            "deployment_id": record.id,
            "task": record.task,
            "model": record.model,
            "from_traffic": record.traffic,
            "to_traffic": share,
            "evidence": evidence,
        }
        timeout = aiohttp.ClientTimeout(total=timeout_s)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.post(url, json=body, allow_redirects=False) as reply,
            ):
                said = bytearray()
                async for piece in reply.content.iter_any():
                    said += piece
                    if len(said) > MAX_ANSWER_BYTES:
                        return Approval(False, f"{host} did not approve it (more than {MAX_ANSWER_BYTES} bytes)")
                answer = json.loads(said) if reply.status == 200 else None
        except (aiohttp.ClientError, TimeoutError, ValueError, RecursionError) as error:
            # The address may hold a secret, and the library's messages may hold the address.
            logger.info("the approval hook at %s did not answer: %s", host, type(error).__name__)
            return Approval(False, f"{host} did not answer: {type(error).__name__}")
        if isinstance(answer, dict) and answer.get("approved") is True:
            return Approval(True, f"{host} approved it")
        return Approval(False, f"{host} did not approve it (HTTP {reply.status})")

    return ask
