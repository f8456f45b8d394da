"""Settings of this process, read from the environment once and passed on as a frozen object.

| variable | meaning | default |
|---|---|---|
| CONTINUUM_HOME | folder of the store, datasets, adapters and logs | the nearest `.continuum` at or above the working folder |
| CONTINUUM_DATABASE_URL | SQLAlchemy URL of the store | SQLite in CONTINUUM_HOME |
| CONTINUUM_BASE_MODEL | local path or hub id of the model to tune | none: a task's policy or the caller must name one |
| CONTINUUM_JUDGE_MODEL | model name of the judge | none |
| CONTINUUM_JUDGE_BASE_URL, CONTINUUM_JUDGE_API_KEY | the judge's OpenAI-compatible endpoint | OPENAI_BASE_URL, OPENAI_API_KEY |
| CONTINUUM_EMBEDDER | `hashed`, or a path or name of a sentence-transformers model | hashed |
| CONTINUUM_WORKERS | who embeds texts: `local`, this process, or `ray`, workers at RAY_ADDRESS or of this machine | local |
| CONTINUUM_TRAINER | where a training runs: `process`, one of its own, or `inline`, the one that asks | process |
| CONTINUUM_ACCELERATE_CONFIG | file for `accelerate launch`, where several processes train together | one a device (DDP) |
| CONTINUUM_GATEWAY_URL | where this process finds the gateway | http://127.0.0.1:8787/v1 |
| CONTINUUM_UPSTREAM_BASE_URL, CONTINUUM_UPSTREAM_API_KEY | the production model | OPENAI_BASE_URL, OPENAI_API_KEY |
| CONTINUUM_SERVING_URL | where the server of the tuned models is found | http://127.0.0.1:8790/v1 |
| CONTINUUM_SERVING_API_KEY | what that server is asked with, where it asks for a key | none |
| CONTINUUM_APPROVAL_WEBHOOK | asked by POST for the approvals that a task's policy wants | none: `continuum promote` gives them |
| CONTINUUM_NOTIFY_WEBHOOK | told by POST of promotions, rollbacks, holds, alarms and blocks | none |
| CONTINUUM_NOTIFY_SLACK | a Slack incoming webhook, or one that takes its form; told the same | none |
| CONTINUUM_DURABILITY | where captures wait for the store: `disk` survives the process, `memory` is faster | disk |
| CONTINUUM_SPOOL_MAX_BYTES | the most the spool may take on disk; what goes beyond is refused and counted | 1 GiB |
| CONTINUUM_REDACT | take personal data out before the store (`drain`) or before the disk (`inline`), or not (`off`) | drain |
| CONTINUUM_REDACTOR | who takes it out: `builtin`, `presidio`, or the name of an entry point `continuum.redactors` | builtin |
| CONTINUUM_USER_KEY | key of the hashes that stand for user ids; one for all writers of a store | made once, in CONTINUUM_HOME |
| CONTINUUM_SNAPSHOTS | folder or fsspec URL of the Parquet snapshots, like s3://bucket/folder | in CONTINUUM_HOME |
| CONTINUUM_ARTIFACTS_URL | folder or fsspec URL of dataset versions and adapters, like s3://bucket/folder | in CONTINUUM_HOME |
| CONTINUUM_ARTIFACTS_MAX_BYTES | the most that copies of what lies at such a URL take in CONTINUUM_HOME | 20 GiB |
| CONTINUUM_SIGNING_KEY | file of the private key that proofs of verdicts are signed with | none: they are not signed |
| CONTINUUM_TRUSTED_KEYS | public keys in hex, with commas; a proof that none of them signed is refused | none: any will do |
| CONTINUUM_SEED | seed of everything random | 0 |
| MLFLOW_TRACKING_URI | MLflow server or store | SQLite in CONTINUUM_HOME |
"""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, SecretStr

from continuum.errors import ConfigurationError

HOME_NAME = ".continuum"

Durability = Literal["disk", "memory"]
RedactWhen = Literal["drain", "inline", "off"]
WorkersName = Literal["local", "ray"]
TrainerName = Literal["process", "inline"]


class Settings(BaseModel):
    """What the environment says; secrets show as asterisks in every representation."""

    model_config = ConfigDict(frozen=True)

    home: Path
    database_url: SecretStr
    """May hold a password."""
    mlflow_tracking_uri: str
    base_model: str | None = None
    judge_model: str | None = None
    judge_base_url: str | None = None
    judge_api_key: SecretStr | None = None
    upstream_base_url: str | None = None
    upstream_api_key: SecretStr | None = None
    embedder: str = "hashed"
    workers: WorkersName = "local"
    trainer: TrainerName = "process"
    accelerate_config: str | None = None
    durability: Durability = "disk"
    spool_max_bytes: int = 2**30
    redact: RedactWhen = "drain"
    redactor: str = "builtin"
    user_key: SecretStr | None = None
    snapshots: str = ""
    """Folder or fsspec URL; empty for `snapshots` in the home."""
    artifacts: str = ""
    """Folder, or fsspec URL without credentials in it; empty for the home."""
    artifacts_max_bytes: int = 20 * 2**30
    signing_key: Path | None = None
    trusted_keys: tuple[str, ...] = ()
    """Ed25519 public keys in hex, 64 digits each."""
    gateway_url: str = "http://127.0.0.1:8787/v1"
    serving_url: str = "http://127.0.0.1:8790/v1"
    serving_api_key: SecretStr | None = None
    """What the servers of tuned models are asked with, where they ask for a key."""
    approval_webhook: SecretStr | None = None
    notify_webhook: SecretStr | None = None
    notify_slack: SecretStr | None = None
    """Addresses that hold a secret in their path or query: `origin_of` says what may be shown of one."""
    seed: int = 0

    @property
    def artifacts_dir(self) -> Path:
        """Where artifacts are written: where they stay, unless they go to a URL."""
        return Path(self.artifacts) if self.artifacts and "://" not in self.artifacts else self.home

    @property
    def artifact_copies_dir(self) -> Path:
        """Where copies of artifacts at a URL lie."""
        return self.home / "artifacts"

    @property
    def datasets_dir(self) -> Path:
        """Where dataset versions lie, or are written before they go to a URL."""
        return self.artifacts_dir / "datasets"

    @property
    def embeddings_dir(self) -> Path:
        """Where vectors of texts are kept, so that each text is embedded once."""
        return self.home / "embeddings"

    @property
    def spool_dir(self) -> Path:
        """Where captures wait for the store."""
        return self.home / "spool"

    @property
    def snapshots_url(self) -> str:
        """Where the Parquet snapshots lie."""
        return self.snapshots or str(self.home / "snapshots")

    @property
    def checkpoints_dir(self) -> Path:
        """Where adapters lie, or are written before they go to a URL."""
        return self.artifacts_dir / "checkpoints"

    @property
    def training_dir(self) -> Path:
        """Where trainings under way lie, so that one that was killed goes on."""
        return self.home / "training"

    @property
    def models_dir(self) -> Path:
        """Where base models that were built here lie."""
        return self.home / "models"


_judge_key: ContextVar[SecretStr | None] = ContextVar("judge_key", default=None)


@contextmanager
def judging_with(key: SecretStr | None) -> Iterator[None]:
    """Have what is done within, in this task and the threads it waits for, ask the judge with this key; None changes nothing."""
    before = _judge_key.set(key or _judge_key.get())
    try:
        yield
    finally:
        _judge_key.reset(before)


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from the environment, or from the mapping given.

    Raises:
        ConfigurationError: a variable holds what it cannot; the message names it.
    """
    env, given = (os.environ, _judge_key.get()) if environment is None else (environment, None)
    home = Path(env.get("CONTINUUM_HOME") or find_home(Path.cwd())).expanduser().resolve()
    return Settings(
        home=home,
        database_url=SecretStr(postgres_driver(env.get("CONTINUUM_DATABASE_URL") or f"sqlite:///{home / 'continuum.db'}")),
        mlflow_tracking_uri=env.get("MLFLOW_TRACKING_URI") or f"sqlite:///{home / 'mlflow.db'}",
        base_model=env.get("CONTINUUM_BASE_MODEL") or None,
        judge_model=env.get("CONTINUUM_JUDGE_MODEL") or None,
        judge_base_url=env.get("CONTINUUM_JUDGE_BASE_URL") or env.get("OPENAI_BASE_URL") or None,
        judge_api_key=given or secret(env.get("CONTINUUM_JUDGE_API_KEY") or env.get("OPENAI_API_KEY")),
        upstream_base_url=env.get("CONTINUUM_UPSTREAM_BASE_URL") or env.get("OPENAI_BASE_URL") or None,
        upstream_api_key=secret(env.get("CONTINUUM_UPSTREAM_API_KEY") or env.get("OPENAI_API_KEY")),
        embedder=env.get("CONTINUUM_EMBEDDER") or "hashed",
        workers=one_of(env, "CONTINUUM_WORKERS", "local", "ray"),
        trainer=one_of(env, "CONTINUUM_TRAINER", "process", "inline"),
        accelerate_config=env.get("CONTINUUM_ACCELERATE_CONFIG") or None,
        gateway_url=env.get("CONTINUUM_GATEWAY_URL") or "http://127.0.0.1:8787/v1",
        serving_url=env.get("CONTINUUM_SERVING_URL") or "http://127.0.0.1:8790/v1",
        serving_api_key=secret(env.get("CONTINUUM_SERVING_API_KEY")),
        approval_webhook=web_address(env, "CONTINUUM_APPROVAL_WEBHOOK"),
        notify_webhook=web_address(env, "CONTINUUM_NOTIFY_WEBHOOK"),
        notify_slack=web_address(env, "CONTINUUM_NOTIFY_SLACK"),
        durability=one_of(env, "CONTINUUM_DURABILITY", "disk", "memory"),
        spool_max_bytes=whole_number(env, "CONTINUUM_SPOOL_MAX_BYTES", 2**30),
        redact=one_of(env, "CONTINUUM_REDACT", "drain", "inline", "off"),
        redactor=env.get("CONTINUUM_REDACTOR") or "builtin",
        user_key=secret(env.get("CONTINUUM_USER_KEY")),
        snapshots=env.get("CONTINUUM_SNAPSHOTS") or "",
        artifacts=folder_or_url(env, "CONTINUUM_ARTIFACTS_URL"),
        artifacts_max_bytes=whole_number(env, "CONTINUUM_ARTIFACTS_MAX_BYTES", 20 * 2**30),
        signing_key=Path(env["CONTINUUM_SIGNING_KEY"]).expanduser() if env.get("CONTINUUM_SIGNING_KEY") else None,
        trusted_keys=public_keys(env, "CONTINUUM_TRUSTED_KEYS"),
        seed=whole_number(env, "CONTINUUM_SEED", 0),
    )


def whole_number(env: Mapping[str, str], name: str, default: int) -> int:
    """A variable that holds a whole number."""
    found = env.get(name) or str(default)
    if not re.fullmatch(r"-?[0-9]{1,18}", found):
        raise ConfigurationError(f"{name} is {found!r}; it must be a whole number of at most 18 digits")
    return int(found)


def public_keys(env: Mapping[str, str], name: str) -> tuple[str, ...]:
    """A variable that holds public keys in hex, with commas between them."""
    found = tuple(key.strip().lower() for key in env.get(name, "").split(",") if key.strip())
    if wrong := [key for key in found if not re.fullmatch(r"[0-9a-f]{64}", key)]:
        raise ConfigurationError(
            f"{name} holds a key of {len(wrong[0])} characters; it must hold public keys of 64 hexadecimal digits each, as "
            "`continuum proof --new-key FILE` prints them"
        )
    return found


def one_of(env: Mapping[str, str], name: str, default: Any, *others: Any) -> Any:
    """A variable that holds one of a few words."""
    found = env.get(name) or default
    if found not in (default, *others):
        raise ConfigurationError(f"{name} is {found!r}; it must be one of {', '.join((default, *others))}")
    return found


def web_address(env: Mapping[str, str], name: str) -> SecretStr | None:
    """A variable that holds an address to post to; what is wrong with one is said without showing it."""
    value = (env.get(name) or "").strip()
    if not value:
        return None
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not re.fullmatch(r"[!-~]+", value):
        raise ConfigurationError(
            f"{name} holds {len(value)} characters that are no address; it must be like https://hooks.example.com/path"
        )
    return SecretStr(value)


def folder_or_url(env: Mapping[str, str], name: str) -> str:
    """A variable that holds a folder, which is given back whole, or a URL that holds no secret; what is wrong is not shown."""
    value = (env.get(name) or "").strip()
    if not value:
        return ""
    scheme, mark, rest = value.partition("://")
    if mark and scheme != "file":
        place, _, below = rest.rstrip("/").partition("/")
        if "@" in place or any(sign in rest for sign in "?#"):
            raise ConfigurationError(
                f"{name} holds a user, a password or a query; leave them out: credentials come from where the storage's own "
                "library looks for them, such as AWS_ACCESS_KEY_ID, AWS_PROFILE or the machine's role"
            )
        parts = below.split("/") if below else []
        if (
            not re.fullmatch(r"[a-z][a-z0-9+.-]*", scheme)
            or not place
            or any(part in ("", ".", "..") or re.search(r"[\x00-\x1f\x7f\\%]", part) for part in parts)
        ):
            raise ConfigurationError(f"{name} holds {len(value)} characters that are no URL; it must be like s3://bucket/folder")
        return f"{scheme}://{rest.rstrip('/')}"
    return str(Path(rest if mark else value).expanduser().resolve())


def origin_of(address: SecretStr) -> str:
    """What may be shown of an address that holds a secret: its scheme, host and port."""
    parts = urlsplit(address.get_secret_value())
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def find_home(start: Path) -> Path:
    """The nearest existing `.continuum` folder at or above `start`, or a new one in `start`."""
    for folder in (start, *start.parents):
        if (folder / HOME_NAME).is_dir():
            return folder / HOME_NAME
    return start / HOME_NAME


def make_private(folder: Path) -> None:
    """Make a folder in the home, and those above it that are missing, for this user alone: captured words come to lie there.

    Raises:
        OSError: it cannot be made.
    """
    for above in reversed(folder.parents):
        if not above.exists():
            above.mkdir(mode=0o700, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)


def postgres_driver(url: str) -> str:
    """Name the psycopg2 driver in a Postgres URL that names none; SQLAlchemy 2.1 would pick psycopg 3."""
    for plain in ("postgresql://", "postgres://"):
        if url.startswith(plain):
            return "postgresql+psycopg2://" + url.removeprefix(plain)
    return url


def secret(value: str | None) -> SecretStr | None:
    """A value that does not show itself, or None where there is none."""
    return SecretStr(value) if value else None
