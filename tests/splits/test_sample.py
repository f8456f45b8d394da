from hypothesis import given
from hypothesis import strategies as st

from continuum.splits.golden import GoldenItem
from continuum.splits.sample import whole_groups
from tests.builders import user


def items(groups: list[str]) -> list[GoldenItem]:
    return [GoldenItem(interaction_id=f"i{n}", messages=(user("hello"),), group=group) for n, group in enumerate(groups)]


@given(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=30), st.integers(1, 30))
def test_groups_come_whole_in_order_and_within_the_limit(groups: list[str], limit: int) -> None:
    golden = items(groups)

    chosen = whole_groups(golden, limit, salt="salt")

    assert chosen == [item for item in golden if item.group in {item.group for item in chosen}]
    assert len(chosen) <= limit or len({item.group for item in chosen}) == 1
    assert chosen


def test_the_same_salt_gives_the_same_sample_and_another_salt_another() -> None:
    golden = items([f"g{n}" for n in range(40)])

    assert whole_groups(golden, 10, salt="a") == whole_groups(golden[:], 10, salt="a")
    assert whole_groups(golden, 10, salt="a") != whole_groups(golden, 10, salt="b")


def test_without_need_nothing_is_left_out() -> None:
    golden = items(["a", "a", "b"])

    assert whole_groups(golden, None, salt="a") == golden
    assert whole_groups(golden, 3, salt="a") == golden
