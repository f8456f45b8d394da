"""The view of `continuum watch` on a terminal: read anew each second, whoever leads."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from rich.console import Group
from rich.live import Live

from continuum.commands.terminal import console
from continuum.commands.watch_evidence import Looked, quality_in
from continuum.commands.watch_picture import Shown, picture
from continuum.timespan import utc_now

if TYPE_CHECKING:
    from continuum.deployment.driving import Round
    from continuum.deployment.standing import Standing
    from continuum.store.database import Store

READ_EVERY_S = 1.0
"""Between two readings of the store."""


class View:
    """What is shown of the deployments, and where it comes from.

    Args:
        store: read for where they stand.
        task: whose deployments; None for all.
        leads: whether this process looks at them too.
        now: the clock.
    """

    def __init__(self, store: "Store", task: str | None, *, leads: bool, now: Callable[[], datetime] = utc_now) -> None:
        self._store = store
        self._task = task
        self._leads = leads
        self._now = now
        self._standings: Sequence[Standing] = ()
        self._looks: dict[str, tuple[Looked, ...]] = {}
        self._read_at: datetime | None = None
        self._looked_at: datetime | None = None
        self._away = ""
        self._trouble = ""
        self._progress = ""

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """Show it on the whole terminal while the block lasts, and leave the last picture behind."""
        try:
            with Live(console=console, screen=True, get_renderable=self.rendered, refresh_per_second=2):
                yield
        finally:
            # A line less than the screen, which the prompt behind it takes.
            console.print(picture(self._as_shown(), console.width, console.height - 1))

    async def keep_up(self) -> None:
        """Read it anew until cancelled; a store that is down shows as such, beside what was read before."""
        while True:
            try:
                await self.read()
                self._away = ""
            except Exception as error:  # noqa: BLE001  a view of a store that is down goes on when it is back
                since = "nothing was read yet" if self._read_at is None else f"this is of {self._read_at:%H:%M:%S} UTC"
                self._away = f"the store does not answer ({type(error).__name__}); {since}"
            await asyncio.sleep(READ_EVERY_S)

    async def read(self) -> None:
        """Read it once."""
        from continuum.deployment.standing import standings

        now = self._now()
        self._standings = await asyncio.to_thread(partial(standings, self._store, self._task, now=now))
        self._read_at = now

    def on_progress(self, done: int, total: int, note: str) -> None:
        """Hear how far the judging of a look is."""
        self._progress = f"judging {done} of {total}" if done < total else ""

    def on_round(self, found: "Round") -> None:
        """Hear what a round of looks came to. What an earlier look knew of the quality stays until a newer one knows it."""
        self._progress, self._trouble = "", found.trouble or ""
        if found.trouble is None:
            self._looked_at = found.at
        for tick in found.ticks:
            evidence = tick.evidence if "quality" in tick.evidence else {}
            self._looks[tick.record.id] = (Looked(found.at, tick.why, evidence), *self._last_judged(tick.record.id))

    def rendered(self) -> Group:
        """The picture of this moment, as large as the terminal."""
        return picture(self._as_shown(), console.width, console.height)

    def whole(self) -> Group:
        """The picture of this moment, with every detail."""
        return picture(self._as_shown(), console.width)

    def _as_shown(self) -> Shown:
        if self._leads:
            last = f"last look {self._looked_at:%H:%M:%S}" if self._looked_at else "no look yet"
        else:
            last = f"read {self._read_at:%H:%M:%S}" if self._read_at else "not read yet"
        trouble = f"nothing could be led, the traffic stays as it is: {self._trouble}" if self._trouble else ""
        note = "; ".join(said for said in (self._away, trouble, self._progress) if said)
        return Shown(self._now(), self._standings, self._looks, last, note)

    def _last_judged(self, deployment_id: str) -> tuple[Looked, ...]:
        judged = [look for look in self._looks.get(deployment_id, ()) if quality_in(look.at, look.evidence) is not None]
        return tuple(judged[:1])
