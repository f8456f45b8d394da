"""Clients that mean harm, at a real gateway by raw sockets: refused, counted, nothing passed on that was not meant, nothing told.

Behind the gateway stands a provider that remembers every byte it was sent; beside it a decoy that nobody may be sent to.
"""

import re
import socket
import threading
import time
import urllib.request
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks.claims import Entry, Result, Setting, table
from benchmarks.deployment.attacks import CLOSED, CONFIDED, Attack, Keys, asked, attacks, question
from benchmarks.deployment.models import provider, seen
from benchmarks.deployment.patient import patient_gateway
from benchmarks.deployment.servers import MASTER_KEY, Server
from benchmarks.deployment.trials import TASK, surroundings
from continuum.deployment.gateway.door import Limits
from continuum.store.database import open_store

SILENT_S = 90.0
"""A connection that is open for so long has not been refused."""
QUICK_LIMITS = Limits(head_s=1.0, body_s=1.0)
KEPT_HEADERS = frozenset(
    {"host", "via", "accept-encoding", "content-type", "authorization", "content-length", "accept", "traceparent", "tracestate"}
) | {"x-request-id"}
"""All that a provider may be told."""
TRACES = ("Traceback", 'File "', "site-packages", "sqlite3", "sqlalchemy")
INJECTED = re.compile(rb"^x-injected", re.IGNORECASE | re.MULTILINE)
REFUSED = re.compile(r"^continuum_gateway_refused_total\{[^}]*\} (\S+)", re.MULTILINE)


@dataclass
class Attacked:
    """What became of one attack."""

    attack: Attack
    answer: bytes
    seconds: float
    faults: list[str] = field(default_factory=list)

    @property
    def statuses(self) -> list[int]:
        """Of the answers that came, without those that only say go on."""
        return [int(code) for code in re.findall(rb"^HTTP/1\.[01] (\d{3})", self.answer, re.MULTILINE) if code != b"100"]


def measure(setting: Setting) -> Result:
    """One attack after the other; people who mean no harm ask meanwhile."""
    home = setting.folder / "home"
    home.mkdir()
    limits = QUICK_LIMITS if setting.quick else Limits()
    environment = {
        "CONTINUUM_HOME": str(home),
        "CONTINUUM_DATABASE_URL": f"sqlite:///{home / 'continuum.db'}",
        "CONTINUUM_UPSTREAM_API_KEY": MASTER_KEY,
    }
    with ExitStack() as stack:
        stack.enter_context(surroundings(environment))
        keys = _keys(environment["CONTINUUM_DATABASE_URL"])
        production = stack.enter_context(provider(setting.folder, "production"))
        decoy = stack.enter_context(provider(setting.folder, "decoy"))
        with patient_gateway(setting.folder, production.base_url, environment, limits=limits, key=keys.good) as server:
            honest = Honest(server)
            honest.start()
            siege = Siege(server, production)
            slow_s = max(limits.head_s, limits.body_s) + (1.0 if setting.quick else 3.0)
            found = []
            for attack in attacks(keys, decoy.base_url.removesuffix("/v1"), slow_s):
                setting.say(f"hostile: {attack.name}")
                found.append(siege.make(attack))
            honest.end()
            peak = _peak_mb(server)
        at_decoy, at_production = seen(decoy), seen(production)
    log = (setting.folder / "gateway.log").read_text(encoding="utf-8", errors="replace")
    told = b"\n".join(one.answer for one in found).decode(errors="replace")
    secrets_told = leaks(told, [keys.good, keys.other, keys.revoked, MASTER_KEY, CONFIDED, str(home)])
    secrets_logged = leaks(log, [keys.good, keys.other, keys.revoked, MASTER_KEY, CONFIDED])
    passed_on = [words for one in at_production for words in strange(one, keys, production)]
    entries = entries_of(found, honest, secrets_told + secrets_logged, passed_on, len(at_decoy), "refused" in log)
    return Result(entries, shown(found), notes_of(found, honest, [*secrets_told, *secrets_logged, *passed_on], peak))


def _keys(url: str) -> Keys:
    store = open_store(url)
    for task in (TASK, "other"):
        store.tasks.ensure(task)
    made = store.gateway_keys.create("good", tasks=[TASK])
    other = store.gateway_keys.create("other", tasks=["other"])
    revoked = store.gateway_keys.create("revoked")
    store.gateway_keys.revoke(revoked.record.id)
    store.close()
    return Keys(*(one.secret.get_secret_value() for one in (made, other, revoked)))


class Siege:
    """Attacks one gateway, and looks at what each left behind."""

    def __init__(self, server: Server, production: Server) -> None:
        self._server, self._production = server, production
        self._port = int(server.base_url.rpartition(":")[2].removesuffix("/v1"))

    def make(self, attack: Attack) -> Attacked:
        """Attack, and judge."""
        refused, passed = self._refused(), self._passed()
        begun = time.monotonic()
        answer, open_ = self._sent(attack)
        found = Attacked(attack, answer, time.monotonic() - begun)
        if open_:
            found.faults.append(f"the connection was still open after {SILENT_S:g} s")
        wrong = [status for status in found.statuses or [CLOSED] if status not in attack.statuses]
        if wrong:
            found.faults.append(f"it was answered with {wrong[0] or 'nothing'}: {answer[:160]!r}")
        if b"smuggled" in answer or INJECTED.search(_heads(answer)):
            found.faults.append("something of it was taken for another request, or for a header")
        if attack.counted and self._refused() <= refused:
            found.faults.append("it was not counted")
        more = self._passed() - passed
        if more != int(attack.passes):
            found.faults.append(f"a model was asked {more} times")
        return found

    def _sent(self, attack: Attack) -> tuple[bytes, bool]:
        """What the gateway answers until it closes; and whether it does not."""
        answer, connection = b"", socket.create_connection(("127.0.0.1", self._port), timeout=10)
        with connection, suppress(ConnectionError, BrokenPipeError):
            try:
                for piece in attack.pieces:
                    connection.sendall(piece)
                    if attack.pause_s:
                        time.sleep(attack.pause_s)
            except (ConnectionError, TimeoutError):
                pass  # closed in the middle: what it said before is read below
            connection.settimeout(SILENT_S)
            try:
                while more := connection.recv(2**16):
                    answer += more
            except TimeoutError:
                return answer, True
        return answer, False

    def _refused(self) -> float:
        root = self._server.base_url.removesuffix("/v1")
        asks = urllib.request.Request(f"{root}/metrics", headers={"authorization": f"Bearer {self._server.key}"})  # noqa: S310
        with urllib.request.urlopen(asks, timeout=10) as answer:  # noqa: S310 - our own server
            return sum(map(float, REFUSED.findall(answer.read().decode())))

    def _passed(self) -> int:
        return sum(HONEST not in one["body"] for one in seen(self._production))


HONEST = "honest-question"


class Honest(threading.Thread):
    """Somebody who means no harm, and asks all the while."""

    def __init__(self, server: Server) -> None:
        super().__init__(daemon=True)
        self.answered = self.failed = 0
        self.longest_s = 0.0
        self._server = server
        self._over = threading.Event()

    def run(self) -> None:
        """Ask ten times a second."""
        port = int(self._server.base_url.rpartition(":")[2].removesuffix("/v1"))
        sent = asked(question().replace(CONFIDED.encode(), HONEST.encode()), key=self._server.key)
        while not self._over.wait(0.1):
            begun, answer = time.monotonic(), b""
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
                connection.sendall(sent)
                while more := connection.recv(2**16):
                    answer += more
            self.longest_s = max(self.longest_s, time.monotonic() - begun)
            if answer.startswith(b"HTTP/1.1 200 "):
                self.answered += 1
            else:
                self.failed += 1

    def end(self) -> None:
        """Stop asking."""
        self._over.set()
        self.join(30)


def _heads(answer: bytes) -> bytes:
    """The heads of answers, without their bodies."""
    return b"\n".join(part.partition(b"\r\n\r\n")[0] for part in answer.split(b"HTTP/1.1 ")[1:])


def leaks(text: str, hidden: list[str]) -> list[str]:
    """What a text holds that nobody may read there."""
    found = [f"a secret: {word[:6]}..." for word in hidden if word in text]
    return found + [f"a trace: {word}" for word in TRACES if word in text]


def strange(request: dict[str, Any], keys: Keys, production: Server) -> list[str]:
    """What a provider was told that it should not have been."""
    found = []
    headers = [(name, value) for name, value in request["headers"]]
    names = [name for name, _ in headers]
    if request["method"] != "POST" or request["target"] != "/v1/chat/completions":
        found.append(f"asked for {request['method']} {request['target']:.80}")
    found += [f"told the header {name}" for name in names if name not in KEPT_HEADERS]
    found += [f"told {name} twice" for name in set(names) if names.count(name) > 1]
    told = dict(headers)
    if told.get("authorization") != f"Bearer {MASTER_KEY}":
        found.append("told another key than its own")
    if told.get("host") != production.base_url.removeprefix("http://").removesuffix("/v1"):
        found.append(f"told the host {told.get('host')}")
    return found + ["told a client's key" for key in (keys.good, keys.other) if key in str(request)]


def _peak_mb(server: Server) -> float:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) / 1024


def entries_of(
    found: list[Attacked], honest: Honest, told: list[str], passed_on: list[str], at_decoy: int, logged: bool
) -> list[Entry]:
    """The claims."""
    clean = sum(not one.faults for one in found)
    return [
        Entry.of_value(
            f"of {len(found)} attacks, refused with a proper status (or left harmless), counted and kept from the models",
            float(clean),
            ">=",
            len(found),
        ),
        Entry.of_value("attacks: keys, paths, questions and traces in answers and in the log", float(len(told)), "==", 0),
        Entry.of_value("attacks: the log tells of refusals", float(logged), "==", 1),
        Entry.of_value("attacks: headers, keys and targets that reached a model and should not", float(len(passed_on)), "==", 0),
        Entry.of_value("attacks: requests that reached a server that only a request named", float(at_decoy), "==", 0),
        Entry.of_value("attacks: requests of others that failed meanwhile", float(honest.failed), "==", 0),
    ]


def shown(found: list[Attacked]) -> Table:
    """By what they were answered with."""
    made = table(f"{len(found)} attacks", "answered with", "attacks", "longest, s", "which")
    by_status: dict[str, list[Attacked]] = {}
    for one in found:
        by_status.setdefault(str(one.statuses[0]) if one.statuses else "closed", []).append(one)
    for status, own in sorted(by_status.items()):
        names = ", ".join(one.attack.name for one in own)
        made.add_row(
            status, str(len(own)), f"{max(one.seconds for one in own):.1f}", names if len(names) < 90 else names[:87] + "..."
        )
    return made


def notes_of(found: list[Attacked], honest: Honest, leaked: list[str], peak_mb: float) -> list[str]:
    """What else is to be known."""
    return [
        f"meanwhile {honest.answered:,} requests of others were answered, the longest in {honest.longest_s:.2f} s",
        f"the gateway's memory at its highest: {peak_mb:.0f} MB",
        *(f"{one.attack.name}: {words}" for one in found for words in one.faults),
        *sorted(set(leaked))[:10],
    ]
