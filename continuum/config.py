"""Settings of this process, read from the environment once and passed on as a frozen object.

| variable | meaning | default |
|---|---|---|
| CONTINUUM_HOME | folder of the store, datasets, adapters and logs | the nearest `.continuum` at or above the working folder |
| CONTINUUM_DATABASE_URL | SQLAlchemy URL of the store | SQLite in CONTINUUM_HOME |
| CONTINUUM_BASE_MODEL | local path or hub id of the model to tune | none: a task's policy or the caller must name one |
| CONTINUUM_JUDGE_MODEL | model name of the judge | none |
| CONTINUUM_JUDGE_BASE_URL, CONTINUUM_JUDGE_API_KEY | the judge's OpenAI-compatible endpoint | OPENAI_BASE_URL, OPENAI_API_KEY |
| CONTINUUM_EMBEDDER | `hashed`, or a path or name of a sentence-transformers model | hashed |
| CONTINUUM_GATEWAY_URL | where this process finds the gateway | http://127.0.0.1:8787/v1 |
| CONTINUUM_UPSTREAM_BASE_URL, CONTINUUM_UPSTREAM_API_KEY | the production model | OPENAI_BASE_URL, OPENAI_API_KEY |
| CONTINUUM_SERVING_URL | where the server of the tuned models is found | http://127.0.0.1:8790/v1 |
| CONTINUUM_SEED | seed of everything random | 0 |
| MLFLOW_TRACKING_URI | MLflow server or store | SQLite in CONTINUUM_HOME |
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, SecretStr

from continuum.errors import ConfigurationError

HOME_NAME = ".continuum"


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
    gateway_url: str = "http://127.0.0.1:8787/v1"
    serving_url: str = "http://127.0.0.1:8790/v1"
    seed: int = 0

    @property
    def datasets_dir(self) -> Path:
        """Where dataset versions lie."""
        return self.home / "datasets"

    @property
    def checkpoints_dir(self) -> Path:
        """Where adapters lie."""
        return self.home / "checkpoints"

    @property
    def models_dir(self) -> Path:
        """Where base models that were built here lie."""
        return self.home / "models"


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from the environment, or from the mapping given.

    Raises:
        ConfigurationError: CONTINUUM_SEED is not a whole number of at most 18 digits.
    """
    env = os.environ if environment is None else environment
    home = Path(env.get("CONTINUUM_HOME") or find_home(Path.cwd())).expanduser().resolve()
    seed = env.get("CONTINUUM_SEED") or "0"
    if not re.fullmatch(r"-?[0-9]{1,18}", seed):
        raise ConfigurationError(f"CONTINUUM_SEED is {seed!r}; it must be a whole number of at most 18 digits")
    return Settings(
        home=home,
        database_url=SecretStr(postgres_driver(env.get("CONTINUUM_DATABASE_URL") or f"sqlite:///{home / 'continuum.db'}")),
        mlflow_tracking_uri=env.get("MLFLOW_TRACKING_URI") or f"sqlite:///{home / 'mlflow.db'}",
        base_model=env.get("CONTINUUM_BASE_MODEL") or None,
        judge_model=env.get("CONTINUUM_JUDGE_MODEL") or None,
        judge_base_url=env.get("CONTINUUM_JUDGE_BASE_URL") or env.get("OPENAI_BASE_URL") or None,
        judge_api_key=secret(env.get("CONTINUUM_JUDGE_API_KEY") or env.get("OPENAI_API_KEY")),
        upstream_base_url=env.get("CONTINUUM_UPSTREAM_BASE_URL") or env.get("OPENAI_BASE_URL") or None,
        upstream_api_key=secret(env.get("CONTINUUM_UPSTREAM_API_KEY") or env.get("OPENAI_API_KEY")),
        embedder=env.get("CONTINUUM_EMBEDDER") or "hashed",
        gateway_url=env.get("CONTINUUM_GATEWAY_URL") or "http://127.0.0.1:8787/v1",
        serving_url=env.get("CONTINUUM_SERVING_URL") or "http://127.0.0.1:8790/v1",
        seed=int(seed),
    )


def find_home(start: Path) -> Path:
    """The nearest existing `.continuum` folder at or above `start`, or a new one in `start`."""
    for folder in (start, *start.parents):
        if (folder / HOME_NAME).is_dir():
            return folder / HOME_NAME
    return start / HOME_NAME


def postgres_driver(url: str) -> str:
    """Name the psycopg2 driver in a Postgres URL that names none; SQLAlchemy 2.1 would pick psycopg 3."""
    for plain in ("postgresql://", "postgres://"):
        if url.startswith(plain):
            return "postgresql+psycopg2://" + url.removeprefix(plain)
    return url


def secret(value: str | None) -> SecretStr | None:
    """A value that does not show itself, or None where there is none."""
    return SecretStr(value) if value else None
