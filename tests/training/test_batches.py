from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from continuum.fine_tuning import FineTuneConfig
from continuum.training.batches import lay_out

EARLIER = [0, 5, 7, "b", "a", "q", 2, 1, 6, "c", "a", "p", 4, 3, 2, "c", "b", "q"]

COUNTS = {
    "new": st.integers(1, 60),
    "replay": st.integers(0, 30),
    "probes": st.integers(0, 30),
    "batch_size": st.integers(1, 32),
    "epochs": st.floats(0.2, 4),
    "seed": st.integers(0, 9),
}


def named(kind: str, count: int) -> list[tuple[str, int]]:
    return [(kind, n) for n in range(count)]


@given(general=st.integers(0, 30), **COUNTS)
def test_every_batch_has_its_share_of_what_holds_the_model(
    new: int, replay: int, probes: int, general: int, batch_size: int, epochs: float, seed: int
):
    config = FineTuneConfig(batch_size=batch_size, epochs=epochs, seed=seed)

    rows = (named("new", new), named("old", replay), named("probe", probes), named("general", general))
    schedule = lay_out(*rows, config)

    assert len(schedule.rows) == schedule.width * schedule.steps
    assert schedule.width == batch_size or batch_size < 4
    for start in range(0, len(schedule.rows), schedule.width):
        kinds = Counter(kind for kind, _ in schedule.rows[start : start + schedule.width])
        assert kinds["new"] == schedule.new_per_batch >= 1
        assert kinds["old"] == (max(1, round(0.25 * batch_size)) if replay else 0)
        assert kinds["probe"] == (max(1, round(0.125 * batch_size)) if probes else 0)
        assert kinds["general"] == (max(1, round(0.0625 * batch_size)) if general else 0)
    assert sum(kind == "new" for kind, _ in schedule.rows) >= epochs * new - 1e-6


@given(parts=st.sampled_from([(1, 2), (2, 1), (2, 2), (3, 1)]), times=st.integers(1, 4))
def test_a_batch_can_always_be_shared_out_among_processes_and_parts(parts: tuple[int, int], times: int):
    processes, accumulation = parts
    size = processes * accumulation * times
    config = FineTuneConfig(batch_size=size, processes=processes, gradient_accumulation=accumulation)

    schedule = lay_out(named("new", 20), named("old", 5), named("probe", 5), named("general", 5), config)

    assert schedule.width % (processes * accumulation) == 0


def test_without_general_rows_the_batches_are_those_that_earlier_versions_laid_out():
    config = FineTuneConfig(batch_size=6, epochs=1, seed=3)

    rows = lay_out(list(range(8)), ["a", "b", "c"], ["p", "q"], [], config).rows

    assert rows == EARLIER


def test_each_new_row_is_seen_once_an_epoch():
    schedule = lay_out(list(range(30)), [], [], [], FineTuneConfig(batch_size=10, epochs=2))

    assert schedule.steps == 6
    assert set(Counter(schedule.rows).values()) == {2}


def test_the_order_follows_the_seed():
    rows = list(range(50))

    assert lay_out(rows, [], [], [], FineTuneConfig(seed=1)).rows == lay_out(rows, [], [], [], FineTuneConfig(seed=1)).rows
    assert lay_out(rows, [], [], [], FineTuneConfig(seed=1)).rows != lay_out(rows, [], [], [], FineTuneConfig(seed=2)).rows


def test_shares_of_zero_leave_a_plain_batch():
    config = FineTuneConfig(batch_size=8, replay_share=0, probe_share=0, general_share=0)

    assert set(lay_out(["new"] * 8, ["old"], ["probe"], ["general"], config).rows) == {"new"}
