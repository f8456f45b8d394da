"""Is everything there that a task needs? Each thing is looked at for real, in seconds; nothing is changed or downloaded."""

import importlib.metadata
import json
import math
import os
import platform
import shutil
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from continuum.config import Settings, load_settings
from continuum.errors import ContinuumError
from continuum.excerpts import excerpt
from continuum.needs import needs_of
from continuum.policy import TaskPolicy
from continuum.records import Record
from continuum.timespan import utc_now

if TYPE_CHECKING:
    from continuum.store.database import Store

DISTRIBUTION = "continuum-ai"
PORTS = {"gateway": 8787, "serve": 8790, "label --page": 8793, "Dagster's UI": 3000}
LEAST_DISK = 2**30
LITTLE_DISK = 10 * 2**30
LEAST_MEMORY = 4 * 2**30
CLOCK_OFF_AFTER = timedelta(seconds=60)
PATIENCE_S = 3.0
"""The longest that an endpoint is waited for."""
BASES = {"Qwen/Qwen3-8B": 8.2e9, "Qwen/Qwen3-4B": 4.0e9, "Qwen/Qwen3-1.7B": 1.7e9, "Qwen/Qwen3-0.6B": 0.6e9}
"""Hub ids of open models, largest first, with their parameters as their names and cards give them."""
SHARE_FOR_WEIGHTS = 1 / 3
"""Of the memory: the rest is for what training holds beside the weights."""
NONE_FITS = "none of the open models known here; build a small one: continuum base build --task TASK"
PERSONAL = "ann.example@example.com"
"""What every redactor is to find."""
LARGEST_HEADER = 100 * 2**20
"""Bytes; what a file of weights says of itself is never longer."""

State = Literal["ok", "warn", "fail"]


class Finding(Record):
    """What was found of one thing."""

    what: str
    state: State
    words: str
    """What was found, and what to do where it is not well."""


class Answered(Record):
    """What an endpoint said when it was asked for its models."""

    status: int | None
    """The HTTP status; None where nobody answered."""
    models: tuple[str, ...] = ()
    at: datetime | None = None
    """What the server's clock says."""
    error: str = ""


async def check_up(
    task: str | None = None, *, ports: Mapping[str, int] | None = None, now: Callable[[], datetime] = utc_now
) -> list[Finding]:
    """Look at everything that a task needs, or at what all tasks share.

    Args:
        task: its name; None for all tasks.
        ports: what should be free to listen on, by who would listen; the usual ones where none are given.
        now: the clock.

    Raises:
        ConfigurationError: the environment cannot be read.
    """
    settings = load_settings()
    found = [*_versions(), *_machine(settings.home), *_ports(PORTS if ports is None else ports), _redactor(settings)]
    store, words = _store(settings)
    found += words
    if store is None:
        if task is not None and all(one.state != "fail" for one in words):
            cure = f"continuum init {excerpt(task, 60)}, or capture something for it"
            found.append(_finding(task, "fail", f"there is no task {excerpt(task, 60)!r}: {cure}"))
        return found
    found += _spool(store, settings, now())
    names = [task] if task is not None else store.tasks.names()
    if not names:
        found.append(_finding("tasks", "warn", "there is none yet: continuum init, or capture something"))
    for name in names:
        found += await _task(store, name, settings, now)
    return found


async def models_at(base_url: str, key: str | None = None, *, patience_s: float = PATIENCE_S) -> Answered:
    """Ask an OpenAI-compatible endpoint which models it has; nothing is paid for."""
    import aiohttp

    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        patience = aiohttp.ClientTimeout(total=patience_s)
        async with (
            aiohttp.ClientSession(timeout=patience, trust_env=True) as session,
            session.get(f"{base_url.rstrip('/')}/models", headers=headers) as answer,
        ):
            said = await answer.json(content_type=None) if answer.status == 200 else {}
            return Answered(status=answer.status, models=_names(said), at=_date(answer.headers.get("Date")))
    except (aiohttp.ClientError, TimeoutError, ValueError, OSError) as error:
        # Its words may hold the address and what was sent; its kind is enough.
        return Answered(status=None, error=type(error).__name__)


def fitting_base(memory_bytes: float, bytes_a_parameter: int) -> str | None:
    """The largest of some open models whose weights leave enough memory to train; None where none does."""
    room = memory_bytes * SHARE_FOR_WEIGHTS
    return next((name for name, parameters in BASES.items() if parameters * bytes_a_parameter <= room), None)


# --- what all tasks share --------------------------------------------------------------------------------------------


def _versions() -> Iterator[Finding]:
    from packaging.requirements import Requirement

    wrong, missing = [], set[str]()
    for line in importlib.metadata.requires(DISTRIBUTION) or ():
        wanted = Requirement(line)
        try:
            there = importlib.metadata.version(wanted.name)
        except importlib.metadata.PackageNotFoundError:
            missing.add(wanted.name)
            continue
        if not wanted.specifier.contains(there, prereleases=True):
            wrong.append(f"{wanted.name} {there}, {wanted.specifier} is needed")
    known = {name: _version(name) for name in ("torch", "transformers", "dagster")}
    told = ", ".join(f"{name} {version or 'not installed'}" for name, version in known.items())
    words = f"Python {platform.python_version()}, {told}"
    if wrong:
        cure = "pip install -U the packages, or use constraints.txt"
        yield _finding("versions", "fail", f"{words}; {'; '.join(sorted(set(wrong)))}: {cure}")
    elif known["torch"] is None:
        yield _finding("versions", "warn", f"{words}; nothing can be trained here: pip install 'continuum-ai[training]'")
    else:
        yield _finding("versions", "ok", words)


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _machine(home: Path) -> Iterator[Finding]:
    memory, gpus = _memory(), _gpus()
    enough = memory >= LEAST_MEMORY
    cure = "" if enough else f"; {LEAST_MEMORY / 2**30:.0f} GiB are the least that a training wants: use a larger machine"
    yield _finding("memory", "ok" if enough else "warn", f"{memory / 2**30:.1f} GiB{cure}")
    fits = fitting_base(*_room(memory, gpus)) or NONE_FITS
    if gpus:
        yield _finding("gpu", "ok", f"{', '.join(f'{name} {size / 2**30:.0f} GiB' for name, size in gpus.items())}; fits: {fits}")
    else:
        yield _finding("gpu", "warn", f"none is found, training runs on the CPU; fits in its memory: {fits}")
    there = next(folder for folder in (home, *home.parents) if folder.exists())
    free = shutil.disk_usage(there).free
    state: State = "fail" if free < LEAST_DISK else "warn" if free < LITTLE_DISK else "ok"
    cure = "" if state == "ok" else "; make room, or set CONTINUUM_HOME to a larger disk"
    yield _finding("disk", state, f"{free / 2**30:.1f} GiB free where {home} is{cure}")
    if not there.is_dir():
        yield _finding("home", "fail", f"{there} is a file, and must be a folder; set CONTINUUM_HOME to another place")
    elif not os.access(there, os.W_OK):
        yield _finding("home", "fail", f"{there} cannot be written; set CONTINUUM_HOME to a folder that can")
    elif os.name == "posix" and home.exists() and home.stat().st_mode & 0o007:
        # A group may share a home on purpose.
        yield _finding(
            "home", "warn", f"every user of this machine can look into {home}, where captured words lie: chmod o= {home}"
        )


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _room(memory: int, gpus: Mapping[str, int]) -> tuple[int, int]:
    """The bytes that a model has, and how many of them each of its parameters takes."""
    return (max(gpus.values()), 2) if gpus else (memory, 4)


def _gpus() -> dict[str, int]:
    """Memory in bytes by the GPU's name; empty without torch, or without a GPU."""
    try:
        import torch
    except ImportError:
        return {}
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    found = [torch.cuda.get_device_properties(number) for number in range(count)]
    return {f"{number}: {one.name}": int(one.total_memory) for number, one in enumerate(found)}


def _ports(ports: Mapping[str, int]) -> Iterator[Finding]:
    taken = [f"{port} ({who})" for who, port in ports.items() if not _is_free(port)]
    if taken:
        yield _finding("ports", "warn", f"in use: {', '.join(taken)}; fine where it is that very server, else give it --port")
    else:
        yield _finding("ports", "ok", f"free: {', '.join(map(str, ports.values()))}")


def _is_free(port: int) -> bool:
    with closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _store(settings: Settings) -> "tuple[Store | None, list[Finding]]":
    from continuum.store import default_store

    url = settings.database_url.get_secret_value()
    file = Path(url.removeprefix("sqlite:///").partition("?")[0]) if url.startswith("sqlite:///") else None
    if file is not None and not file.exists():
        return None, [_finding("store", "warn", f"{file} is not there yet; the first capture makes it, or continuum init")]
    try:
        store = default_store()
        # Changes no row, and needs the right to.
        store.tasks.release("", "")
    except (ContinuumError, OSError) as error:
        return None, [_finding("store", "fail", f"{error}; look at CONTINUUM_DATABASE_URL")]
    except Exception as error:  # noqa: BLE001  every driver has errors of its own, and their words may hold a password
        cure = "it must be there, and may be written: look at CONTINUUM_DATABASE_URL and the rights of its file"
        return None, [_finding("store", "fail", f"the store cannot be used ({type(error).__name__}); {cure}")]
    return store, [_finding("store", "ok", f"{store.address}, at this version's schema, can be written")]


def _spool(store: "Store", settings: Settings, at: datetime) -> Iterator[Finding]:
    from continuum.spool.waiting import waiting_in

    waiting = waiting_in(store, settings.spool_dir)
    yield _finding("spool", "warn" if waiting.is_late(at) else "ok", waiting.words(at))


def _redactor(settings: Settings) -> Finding:
    from continuum.spool.redaction import redactor_named

    if settings.redact == "off":
        return _finding("redactor", "warn", "CONTINUUM_REDACT is off: personal data is stored as it comes")
    try:
        redactor = redactor_named(settings.redactor)
        left = PERSONAL in redactor.redact(f"write to {PERSONAL}")
    except Exception as error:  # noqa: BLE001  it may be anybody's, and capture keeps back what it fails at
        words = str(error) if isinstance(error, ContinuumError) else f"{settings.redactor} fails with {type(error).__name__}"
        return _finding("redactor", "fail", f"{words}; captures wait on disk until CONTINUUM_REDACTOR names one that works")
    if left:
        return _finding("redactor", "warn", f"{redactor.name} leaves a mail address in a text; see CONTINUUM_REDACTOR")
    return _finding("redactor", "ok", f"{redactor.name} takes personal data out of what is captured")


# --- a task ----------------------------------------------------------------------------------------------------------


async def _task(store: "Store", name: str, settings: Settings, now: Callable[[], datetime]) -> list[Finding]:
    try:
        state = store.tasks.get(name)
    except ContinuumError as error:
        return [_finding(name, "fail", str(error))]
    policy, found = state.policy, list[Finding]()
    lacks = {one.of: one.words for one in needs_of(store, state, now=now)}
    for kind in ("labels", "terms", "judge", "base_model"):
        if kind in lacks:
            grave = kind in ("judge", "base_model")
            found.append(_finding(f"{name}: {kind.replace('_', ' ')}", "fail" if grave else "warn", lacks[kind]))
    if "driver" in lacks:
        found.append(_finding(f"{name}: driver", "warn", lacks["driver"]))
    elif state.driver_seen_at is not None:
        found.append(_finding(f"{name}: driver", "ok", f"{state.driver}, seen {state.driver_seen_at:%Y-%m-%d %H:%M} UTC"))
    if policy.judge.model and "judge" not in lacks:
        found += await _judge(name, policy, settings, now)
    if policy.judge.model:
        found.append(_price(name, policy.judge.model, policy, settings))
    if "base_model" not in lacks:
        found += _base_model(name, policy, settings)
    return found


async def _judge(name: str, policy: TaskPolicy, settings: Settings, now: Callable[[], datetime]) -> Iterable[Finding]:
    from continuum.models.endpoint import OPENAI_URL

    model, key = policy.judge.model or "", settings.judge_api_key
    base_url = policy.judge.base_url or settings.judge_base_url
    answered = await models_at(base_url or OPENAI_URL, key.get_secret_value() if key else None)
    shown = excerpt(base_url or OPENAI_URL, 100)
    state: State = "ok"
    if answered.status is None:
        state, words = "fail", f"{shown} does not answer ({answered.error}); start it, or set judge.base_url or the network right"
    elif answered.status in (401, 403):
        state, words = "fail", f"{shown} refuses the key ({answered.status}); set OPENAI_API_KEY or CONTINUUM_JUDGE_API_KEY"
    elif answered.status != 200:
        state, words = "warn", f"{shown} answers {answered.status} when asked for its models; the first judgement will tell"
    elif answered.models and model not in answered.models:
        known = ", ".join(excerpt(one, 40) for one in answered.models[:5])
        state, words = "warn", f"{shown} does not list {model!r}, but {known}; set judge.model to one that it has"
    else:
        words = f"{shown} answers and takes the key"
    found = [_finding(f"{name}: judge", state, f"{excerpt(model, 60)}: {words}")]
    if answered.at is not None:
        off = abs(now() - answered.at)
        if off > CLOCK_OFF_AFTER:
            found.append(_finding("clock", "warn", f"{off.total_seconds():.0f} s off the endpoint's; set it by NTP"))
        else:
            found.append(_finding("clock", "ok", "as the endpoint's"))
    return found


def _price(name: str, model: str, policy: TaskPolicy, settings: Settings) -> Finding:
    """What the judge costs; it is known without a key."""
    from continuum.models.chat import Usage
    from continuum.models.endpoint import OPENAI_URL, EndpointModel

    address = policy.judge.base_url or settings.judge_base_url or OPENAI_URL
    cost = EndpointModel(model, base_url=address).cost_usd(Usage(1_000_000, 0))
    what = f"{name}: price"
    if cost is not None:
        return _finding(what, "ok", f"${cost:g} for a million tokens that {excerpt(model, 60)} reads")
    if policy.judge.budget_usd is None:
        return _finding(what, "warn", f"no price is known for {model!r}; what it costs is not counted")
    cure = f"continuum tasks set {name} judge.budget_usd=null, or name a judge with a price"
    return _finding(what, "fail", f"no price is known for {model!r}, so its budget cannot be kept: {cure}")


def _base_model(name: str, policy: TaskPolicy, settings: Settings) -> Iterable[Finding]:
    named = policy.base_model or settings.base_model
    if named is None:
        return []
    folder = Path(named).expanduser()
    if folder.is_dir():
        if (folder / "config.json").is_file() and any(folder.glob("*.safetensors")):
            return [_measured(f"{name}: base model", str(folder), folder)]
        cure = "it has no config.json or no *.safetensors: name a folder that holds a model"
        return [_finding(f"{name}: base model", "fail", f"{folder}; {cure}")]
    from continuum.provenance.revisions import base_folder

    if cached := base_folder(named):
        return [_measured(f"{name}: base model", f"{named} is in the local cache, at {cached.name[:12]}", cached)]
    cure = f"download it first, once and knowingly: hf download {named}"
    return [_finding(f"{name}: base model", "warn", f"{excerpt(named, 80)} is not in the local cache; {cure}")]


def _measured(what: str, words: str, folder: Path) -> Finding:
    """A base model that is there, and whether this machine has the memory to train it."""
    parameters = sum(map(_parameters_in, folder.glob("*.safetensors")))
    room, width = _room(_memory(), _gpus())
    if parameters * width > room * SHARE_FOR_WEIGHTS:
        words += (
            f"; its {parameters:,} parameters are more than a third of the memory holds, which leaves too little for training"
        )
        return _finding(what, "warn", f"{words}; name a smaller one; fits: {fitting_base(room, width) or NONE_FITS}")
    return _finding(what, "ok", f"{words}, {parameters:,} parameters" if parameters else words)


def _parameters_in(weights: Path) -> int:
    """How many numbers a file of weights says that it holds; 0 where it says nothing."""
    try:
        with weights.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            told = json.loads(file.read(length)) if 0 < length <= LARGEST_HEADER else {}
        return sum(math.prod(one["shape"]) for name, one in told.items() if name != "__metadata__")
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return 0


def _names(said: object) -> tuple[str, ...]:
    rows: Sequence[object] = said.get("data") or () if isinstance(said, dict) else ()
    return tuple(str(row["id"]) for row in rows if isinstance(row, dict) and "id" in row)


def _date(header: str | None) -> datetime | None:
    try:
        found = parsedate_to_datetime(header or "")
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _finding(what: str, state: State, words: str) -> Finding:
    return Finding(what=what, state=state, words=words)
