"""What every server of tuned models offers to whoever deploys: load a checkpoint, take it away, say how it is.

Traffic goes through the gateway and is no business of a backend, except of one that splits it itself.
"""

from dataclasses import dataclass
from typing import Protocol

from continuum.records import Checkpoint


@dataclass(frozen=True)
class Warmed:
    """What came of loading a checkpoint."""

    ready: bool
    """Whether the backend answers for the checkpoint now; False when no server answers at the address."""
    words: str
    """What was found, for people and for the deployment's evidence."""
    url: str | None = None
    """Where the gateway asks for the checkpoint, when that is not the backend's own address: one of several slots."""


@dataclass(frozen=True)
class Health:
    """How a backend is."""

    up: bool
    """Whether it answers, and can answer requests."""
    words: str
    """What was found."""


class Backend(Protocol):
    """A server of tuned models.

    A checkpoint is served under its name, `<task>-v<n>`. Each method may be called again, from any process, and leaves the
    same state.
    """

    @property
    def name(self) -> str:
        """Which kind it is, as `DeploymentPolicy.backend` calls it."""
        ...

    @property
    def url(self) -> str:
        """The OpenAI-compatible base URL that it serves under, or what stands for one."""
        ...

    async def warm(self, checkpoint: Checkpoint) -> Warmed:
        """Have a checkpoint loaded before it gets traffic; loaded already is as good.

        The artifact has been verified by the caller.

        Raises:
            DeploymentError: the server answers, and cannot serve the checkpoint; the message says what to change.
        """
        ...

    async def unload(self, model: str) -> None:
        """Take a checkpoint away, after what it is answering has ended; one that is not loaded is no error.

        Raises:
            DeploymentError: the server did not answer, or refused.
        """
        ...

    async def health(self) -> Health:
        """Whether the server can answer now; never raises for a server that does not."""
        ...

    async def models(self) -> tuple[str, ...]:
        """The checkpoints that it lists as loaded, by name; the base model is not among them.

        TGI lists none. Whether one is loaded is for `warm` to say, which may always be called again.

        Raises:
            DeploymentError: the server did not answer, or not in its own form.
        """
        ...

    async def traffic(self, model: str, share: float) -> None:
        """Tell a backend that splits traffic itself which share, from 0 to 1, a checkpoint gets; others do nothing.

        Called after each change of a deployment's weight. The gateway's own split does not depend on it.

        Raises:
            DeploymentError: the backend did not take the weight.
        """
        ...
