"""What the assets say of themselves beside what they do: whose they are, how fresh they should be, and where their source is.

| variable | meaning | default |
|---|---|---|
| CONTINUUM_OWNERS | who the graph says owns the assets, with commas: `team:search,ana@example.com` | team:continuum |
| CONTINUUM_GIT_URL | where the source is browsed, like https://github.com/owner/name/tree/main | none: the local file is named |
"""

import inspect
import os
import re
import warnings
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.definitions.utils import is_valid_owner

from continuum.errors import ConfigurationError

OWNERS, GIT_URL = "CONTINUUM_OWNERS", "CONTINUUM_GIT_URL"
DEFAULT_OWNERS = "team:continuum"
OWNER = re.compile(r"team:[A-Za-z0-9_]+|[^@\s,]+@[^@\s,]+\.[^@\s,]+")
TREE = re.compile(r"(?P<repository>https?://[^/\s?#@]+/[^\s?#@]+?)/(?P<gitlab>-/)?tree/(?P<branch>[^\s?#]+?)/?")
PACKAGE = Path(__file__).parent

NIGHTLY = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=50), warn_window=timedelta(hours=26))
"""Each night brings both up to date: after two missed nights nobody annotates any more."""
PER_TURN = dg.FreshnessPolicy.time_window(fail_window=timedelta(days=30), warn_window=timedelta(days=14))
"""These come with a turn: a month without one means that no task gets the data, or nobody drives."""
FRESHNESS = {"raw_interactions": NIGHTLY, "judged_annotations": NIGHTLY}
"""Dagster holds the newest materialization of any partition against it: it tells that the wheel stands still, not which task."""


def described(
    assets: Sequence[dg.AssetsDefinition], environment: Mapping[str, str] | None = None
) -> Sequence[dg.AssetsDefinition]:
    """The assets with owners, freshness and references to their source.

    Raises:
        ConfigurationError: a variable holds what it cannot; the message names it.
    """
    env = os.environ if environment is None else environment
    owners, tree = owners_of(env), tree_of(env)
    return [_described(asset, owners, tree) for asset in assets]


def owners_of(env: Mapping[str, str]) -> list[str]:
    """The owners that the environment names.

    Raises:
        ConfigurationError: it names nobody, or one who is neither a team nor an address that Dagster takes.
    """
    said = env.get(OWNERS) or DEFAULT_OWNERS
    found = [owner.strip() for owner in said.split(",") if owner.strip()]
    like = "an owner is a mail address in plain letters, or a team like team:search, in letters, digits and _"
    if not found:
        raise ConfigurationError(f"{OWNERS} holds {said!r:.80} and names nobody; {like}; leave it out for {DEFAULT_OWNERS}")
    # Dagster would refuse some addresses later, and say nothing of the variable.
    if wrong := [owner for owner in found if not OWNER.fullmatch(owner) or not is_valid_owner(owner)]:
        raise ConfigurationError(f"{OWNERS} names {wrong[0]!r:.80}; {like}")
    return found


def tree_of(env: Mapping[str, str]) -> str | None:
    """Where the source is browsed, without a slash at its end; None where the environment names nothing.

    Raises:
        ConfigurationError: it is no tree of a repository, or holds a user or a query, which may be a secret.
    """
    url = (env.get(GIT_URL) or "").strip()
    if not url:
        return None
    if not TREE.fullmatch(url):
        raise ConfigurationError(
            f"{GIT_URL} holds {len(url)} characters that are no tree of a repository; it must be like "
            "https://github.com/owner/name/tree/main or https://gitlab.example.com/group/name/-/tree/main"
        )
    return url.rstrip("/")


def _described(asset: dg.AssetsDefinition, owners: Sequence[str], tree: str | None) -> dg.AssetsDefinition:
    name = asset.key.to_user_string()
    references = {"dagster/code_references": _references(asset, tree)}
    return asset.map_asset_specs(
        lambda spec: spec.replace_attributes(
            owners=owners, freshness_policy=FRESHNESS.get(name, PER_TURN), metadata={**spec.metadata, **references}
        )
    )


def _references(asset: dg.AssetsDefinition, tree: str | None) -> dg.CodeReferencesMetadataValue:
    """The line at which the asset's own function begins, in its own file: a wrapper's file is not what a person looks for."""
    compute: Any = asset.op.compute_fn
    function = inspect.unwrap(getattr(compute, "decorated_fn", compute))
    file, line = Path(function.__code__.co_filename), function.__code__.co_firstlineno
    with warnings.catch_warnings():
        # References to code are a beta in Dagster 1.13.
        warnings.simplefilter("ignore", dg.BetaWarning)
        if tree is None:
            found = dg.LocalFileCodeReference(file_path=str(file), line_number=line)
        else:
            found = dg.UrlCodeReference(url=f"{tree}/{file.relative_to(PACKAGE.parent).as_posix()}#L{line}")
        return dg.CodeReferencesMetadataValue(code_references=[found])
