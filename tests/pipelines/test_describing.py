"""What the graph says of the assets: a person reads it before anything is broken."""

import warnings
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.freshness import TimeWindowFreshnessPolicy
from hypothesis import given
from hypothesis import strategies as st

from continuum.errors import ConfigurationError
from continuum_pipelines.assets.curated_dataset import curated_dataset
from continuum_pipelines.assets.raw_interactions import raw_interactions
from continuum_pipelines.definitions import defs
from continuum_pipelines.describing import described, owners_of, tree_of

ROOT = Path(__file__).parents[2]
GITHUB, GITLAB = "https://github.com/acme/continuum/tree/main", "https://git.example.com/ai/team/continuum/-/tree/release/1.x"


def reference(spec: dg.AssetSpec) -> dg.LocalFileCodeReference | dg.UrlCodeReference:
    (found,) = spec.metadata["dagster/code_references"].code_references
    return found


def with_variables(**env: str) -> dg.AssetSpec:
    (asset,) = described([curated_dataset], env)
    (spec,) = asset.specs
    return spec


@pytest.mark.parametrize("part", ["**Reads**", "**Leaves**", "**When it is red**"])
def test_every_description_says_what_an_asset_reads_and_leaves_and_what_to_do_when_it_is_red(part: str) -> None:
    for spec in defs.resolve_all_asset_specs():
        assert part in str(spec.description), spec.key


def test_every_asset_opens_its_own_source_at_its_own_line() -> None:
    for spec in defs.resolve_all_asset_specs():
        found = reference(spec)
        assert isinstance(found, dg.LocalFileCodeReference)
        file = Path(found.file_path)
        assert file == ROOT / "continuum_pipelines" / "assets" / f"{spec.key.to_user_string()}.py"
        assert found.line_number is not None
        assert file.read_text(encoding="utf-8").splitlines()[found.line_number - 1].startswith("@dg.asset")


@pytest.mark.parametrize("tree", [GITHUB, f"{GITHUB}/", GITLAB])
def test_a_repository_is_linked_where_the_environment_names_one(tree: str) -> None:
    found = reference(with_variables(CONTINUUM_GIT_URL=tree))
    assert isinstance(found, dg.UrlCodeReference)
    place, _, line = found.url.partition("#L")
    assert place == f"{tree.rstrip('/')}/continuum_pipelines/assets/curated_dataset.py"
    assert int(line) > 1


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/acme/continuum",
        "git@github.com:acme/continuum.git",
        "https://user:token@github.com/acme/continuum/tree/main",
        "https://github.com/acme/continuum/tree/main?token=secret",
        "javascript:alert(1)//x/y/tree/main",
    ],
)
def test_an_address_that_is_no_tree_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigurationError, match="CONTINUUM_GIT_URL") as caught:
        tree_of({"CONTINUUM_GIT_URL": url})
    assert url not in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "token" not in str(caught.value)


def test_owners_are_those_of_the_environment() -> None:
    assert with_variables().owners == ["team:continuum"]
    assert with_variables(CONTINUUM_OWNERS="team:search, ana@example.com,").owners == ["team:search", "ana@example.com"]


ODD = ["o'hara@example.com", "josé@example.com", "ana@exa_mple.com"]


@pytest.mark.parametrize("owner", ["search", "team:", "team:a b", "@example.com", "ana@example", *ODD])
def test_an_owner_that_is_none_is_refused(owner: str) -> None:
    with pytest.raises(ConfigurationError, match="CONTINUUM_OWNERS names"):
        owners_of({"CONTINUUM_OWNERS": f"team:search,{owner}"})


@pytest.mark.parametrize("nobody", [",", " , ", " "])
def test_owners_that_name_nobody_are_refused(nobody: str) -> None:
    with pytest.raises(ConfigurationError, match=r"CONTINUUM_OWNERS holds .* and names nobody"):
        owners_of({"CONTINUUM_OWNERS": nobody})


@given(st.text(max_size=30))
def test_whoever_is_let_through_is_one_whom_dagster_takes(owner: str) -> None:
    try:
        owners = owners_of({"CONTINUUM_OWNERS": owner})
    except ConfigurationError as error:
        assert "CONTINUUM_OWNERS" in str(error)  # noqa: PT017 - either it is refused so, or it is taken
    else:
        assert dg.AssetSpec("asset", owners=owners).owners == owners


def test_what_each_night_brings_is_stale_after_two_and_the_rest_after_a_month() -> None:
    policies = {spec.key.to_user_string(): spec.freshness_policy for spec in defs.resolve_all_asset_specs()}
    windows = {}
    for name, policy in policies.items():
        assert isinstance(policy, TimeWindowFreshnessPolicy)
        windows[name] = policy.fail_window.to_timedelta()
    nightly = {"raw_interactions", "judged_annotations"}
    assert {name for name, window in windows.items() if window == timedelta(hours=50)} == nightly
    assert {window for name, window in windows.items() if name not in nightly} == {timedelta(days=30)}


def test_describing_warns_of_nothing_and_changes_nothing_else() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (asset,) = described([raw_interactions], {})
    assert asset.op.name == raw_interactions.op.name
    assert asset.partitions_def == raw_interactions.partitions_def
    assert [check.name for check in asset.check_specs] == ["spool_lag"]
