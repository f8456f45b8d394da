import json
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web
from typer.testing import CliRunner

from continuum.checkup import Finding, check_up, fitting_base, models_at
from continuum.cli import app
from continuum.policy import JudgePolicy, TaskPolicy
from continuum.spool.redaction import redactor_named
from continuum.store.database import Store

KEY = "sk-very-secret"


@asynccontextmanager
async def endpoint(*models: str, key: str | None = None) -> AsyncIterator[str]:
    """A server that lists its models, to whoever has the key where it wants one."""

    async def listed(request: web.Request) -> web.Response:
        if key is not None and request.headers.get("Authorization") != f"Bearer {key}":
            return web.json_response({"error": "no"}, status=401)
        return web.json_response({"data": [{"id": name} for name in models]})

    served = web.Application()
    served.router.add_get("/v1/models", listed)
    runner = web.AppRunner(served, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()


@contextmanager
def a_taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


async def found(task: str | None = None, **arguments: object) -> dict[str, Finding]:
    return {one.what: one for one in await check_up(task, ports={}, **arguments)}  # type: ignore[arg-type]


def judged_at(base_url: str, model: str = "judge", **fields: object) -> TaskPolicy:
    return TaskPolicy(task="support", judge=JudgePolicy(model=model, base_url=base_url, **fields))


async def test_a_judge_that_answers_and_has_the_model_is_well(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTINUUM_JUDGE_API_KEY", KEY)
    async with endpoint("judge", key=KEY) as base_url:
        store.tasks.register(judged_at(base_url))
        seen = await found("support")

    assert seen["support: judge"].state == "ok"
    assert seen["clock"].state == "ok"
    assert seen["support: price"].state == "warn"
    assert "no price is known for 'judge'" in seen["support: price"].words
    assert KEY not in json.dumps([one.model_dump() for one in seen.values()])


async def test_a_wrong_key_a_dead_endpoint_and_another_model_differ(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTINUUM_JUDGE_API_KEY", "sk-wrong")
    async with endpoint("other", key=KEY) as base_url:
        store.tasks.register(judged_at(base_url))
        wrong = (await found("support"))["support: judge"]
        monkeypatch.setenv("CONTINUUM_JUDGE_API_KEY", KEY)
        absent = (await found("support"))["support: judge"]
    dead = (await found("support"))["support: judge"]

    assert (wrong.state, "refuses the key (401)" in wrong.words) == ("fail", True)
    assert (absent.state, "does not list 'judge', but other" in absent.words) == ("warn", True)
    assert (dead.state, "does not answer" in dead.words) == ("fail", True)
    assert "sk-wrong" not in wrong.words


async def test_a_budget_without_a_price_fails(store: Store) -> None:
    async with endpoint("own-judge") as base_url:
        store.tasks.register(judged_at(base_url, model="own-judge", budget_usd=5))
        price = (await found("support"))["support: price"]

    assert price.state == "fail"
    assert "judge.budget_usd=null" in price.words


async def test_a_price_is_told_though_the_key_is_missing(store: Store) -> None:
    store.tasks.register(TaskPolicy(task="support", judge=JudgePolicy(model="gpt-4o-mini", budget_usd=5)))

    seen = await found("support")

    assert seen["support: judge"].state == "fail"
    assert (seen["support: price"].state, "for a million tokens" in seen["support: price"].words) == ("ok", True)


async def test_a_clock_that_is_off_is_told_by_the_endpoints(store: Store) -> None:
    async with endpoint("judge") as base_url:
        store.tasks.register(judged_at(base_url))
        clock = (await found("support", now=lambda: datetime.now(UTC) + timedelta(hours=1)))["clock"]

    assert clock.state == "warn"
    assert "NTP" in clock.words


async def test_a_port_that_is_taken_is_named_with_who_would_want_it(store: Store) -> None:
    with a_taken_port() as port:
        (ports,) = [one for one in await check_up(ports={"gateway": port}) if one.what == "ports"]

    assert ports.state == "warn"
    assert f"{port} (gateway)" in ports.words


async def test_a_base_model_is_a_whole_folder_or_in_the_cache_and_is_never_downloaded(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    base = tmp_path / "base"
    base.mkdir()
    store.tasks.register(TaskPolicy(task="support", base_model=str(base)))
    assert (await found("support"))["support: base model"].state == "fail"

    (base / "config.json").write_text("{}")
    (base / "model.safetensors").write_bytes(b"")
    assert (await found("support"))["support: base model"].state == "ok"

    store.tasks.register(TaskPolicy(task="support", base_model="no-such/model-anywhere"))
    absent = (await found("support"))["support: base model"]
    assert absent.state == "warn"
    assert "hf download no-such/model-anywhere" in absent.words


def base_of(folder: Path, parameters: int) -> Path:
    """A base whose file of weights says how many it has, and holds none."""
    header = json.dumps({"__metadata__": {"format": "pt"}, "w": {"dtype": "BF16", "shape": [2, parameters // 2]}}).encode()
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    return folder


async def test_a_base_model_that_is_too_large_for_the_memory_is_told_with_one_that_fits(store: Store, tmp_path: Path) -> None:
    small, large = base_of(tmp_path / "small", 2_000_000), base_of(tmp_path / "large", 400_000_000_000_000)

    store.tasks.register(TaskPolicy(task="support", base_model=str(small)))
    fits = (await found("support"))["support: base model"]
    store.tasks.register(TaskPolicy(task="support", base_model=str(large)))
    too_large = (await found("support"))["support: base model"]

    assert (fits.state, fits.words) == ("ok", f"{small}, 2,000,000 parameters")
    assert too_large.state == "warn"
    assert "its 400,000,000,000,000 parameters are more than a third of the memory holds" in too_large.words
    assert "; name a smaller one" in too_large.words


async def test_a_base_model_in_the_cache_is_measured_too(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    repository = tmp_path / "models--org--thing"
    base_of(repository / "snapshots" / "abc123", 2_000_000)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc123")
    store.tasks.register(TaskPolicy(task="support", base_model="org/thing"))

    seen = (await found("support"))["support: base model"]

    assert (seen.state, seen.words) == ("ok", "org/thing is in the local cache, at abc123, 2,000,000 parameters")


async def test_a_home_without_a_store_is_no_failure_and_gets_none(home: Path) -> None:
    seen = await found()

    assert seen["store"].state == "warn"
    assert not home.exists()


async def test_a_task_that_is_named_and_is_not_there_fails_though_no_store_is(home: Path) -> None:
    seen = await found("suport")

    assert seen["suport"].state == "fail"
    assert "continuum init suport" in seen["suport"].words
    assert not home.exists()


@pytest.mark.parametrize(("mode", "told"), [(0o700, False), (0o770, False), (0o755, True), (0o701, True)])
async def test_a_home_that_every_user_can_look_into_is_told(mode: int, told: bool, home: Path, store: Store) -> None:
    home.chmod(mode)

    seen = await found()

    assert ("home" in seen) is told
    assert not told or (seen["home"].state, f"chmod o= {home}" in seen["home"].words) == ("warn", True)


async def test_a_home_that_is_a_file_fails_with_what_to_set(home: Path) -> None:
    home.parent.mkdir(parents=True, exist_ok=True)
    home.write_text("")

    seen = await found()

    assert seen["home"].state == "fail"
    assert f"{home} is a file, and must be a folder; set CONTINUUM_HOME" in seen["home"].words


LEAVES_ALL = "class Redactor:\n    name = version = 'lazy'\n    def redact(self, text):\n        return text\n"
FAILS = "class Redactor:\n    name = version = 'broken'\n    def redact(self, text):\n        raise OSError(text)\n"


@pytest.fixture
def redactors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An installed package that brings two redactors: one that leaves all as it is, and one that fails."""
    (tmp_path / "leaves_all.py").write_text(LEAVES_ALL)
    (tmp_path / "always_fails.py").write_text(FAILS)
    info = tmp_path / "bad_redactors-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bad-redactors\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[continuum.redactors]\nlazy = leaves_all:Redactor\nbroken = always_fails:Redactor\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    redactor_named.cache_clear()


@pytest.mark.usefixtures("redactors")
@pytest.mark.parametrize(
    ("variable", "name", "state", "said"),
    [
        ("CONTINUUM_REDACTOR", "builtin", "ok", "builtin takes personal data out"),
        ("CONTINUUM_REDACTOR", "presido", "fail", "there is no redactor 'presido'"),
        ("CONTINUUM_REDACTOR", "broken", "fail", "broken fails with OSError; captures wait on disk"),
        ("CONTINUUM_REDACTOR", "lazy", "warn", "lazy leaves a mail address"),
        ("CONTINUUM_REDACT", "off", "warn", "CONTINUUM_REDACT is off"),
    ],
)
async def test_who_takes_personal_data_out_is_tried(
    variable: str, name: str, state: str, said: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, name)

    redactor = (await found())["redactor"]

    assert (redactor.state, said in redactor.words) == (state, True), redactor.words
    assert "example.com" not in redactor.words


async def test_a_store_that_is_away_fails_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTINUUM_DATABASE_URL", "postgresql://me:very-secret@127.0.0.1:1/none")

    store = (await found())["store"]

    assert store.state == "fail"
    assert "very-secret" not in store.words


def test_the_largest_base_whose_weights_leave_room_is_named() -> None:
    assert fitting_base(80e9, 2) == "Qwen/Qwen3-8B"
    assert fitting_base(8e9, 4) == "Qwen/Qwen3-0.6B"
    assert fitting_base(1e9, 4) is None


async def test_a_server_that_says_nonsense_is_no_crash() -> None:
    async def nonsense(request: web.Request) -> web.Response:
        return web.Response(text="[1, 2")

    served = web.Application()
    served.router.add_get("/v1/models", nonsense)
    runner = web.AppRunner(served, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        answered = await models_at(f"http://127.0.0.1:{runner.addresses[0][1]}/v1")
    finally:
        await runner.cleanup()

    assert answered.status is None
    assert answered.models == ()


def test_the_command_exits_with_1_where_something_fails(store: Store) -> None:
    store.tasks.register(TaskPolicy(task="support"))

    result = CliRunner().invoke(app, ["doctor", "support", "--json"], catch_exceptions=False)

    told = {one["what"]: one["state"] for one in json.loads(result.stdout)}
    assert result.exit_code == 1
    assert told["support: base model"] == "fail"
    assert told["store"] == "ok"
    said = CliRunner().invoke(app, ["doctor", "support"], catch_exceptions=False).stdout
    assert "fail  support: base model: no base model is named" in said
