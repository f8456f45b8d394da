from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from continuum.policy import FineTuneConfig
from continuum.training.batches import lay_out


@given(
    new=st.integers(1, 60),
    replay=st.integers(0, 30),
    probes=st.integers(0, 30),
    batch_size=st.integers(1, 32),
    epochs=st.floats(0.2, 4),
    seed=st.integers(0, 9),
)
def test_every_batch_has_its_share_of_what_holds_the_model(
    new: int, replay: int, probes: int, batch_size: int, epochs: float, seed: int
):
    config = FineTuneConfig(batch_size=batch_size, epochs=epochs, seed=seed)

    schedule = lay_out(
        [("new", n) for n in range(new)], [("old", n) for n in range(replay)], [("probe", n) for n in range(probes)], config
    )

    assert len(schedule.rows) == schedule.width * schedule.steps
    for start in range(0, len(schedule.rows), schedule.width):
        kinds = Counter(kind for kind, _ in schedule.rows[start : start + schedule.width])
        assert kinds["new"] >= 1
        assert kinds["old"] == (max(1, round(0.25 * batch_size)) if replay else 0)
        assert kinds["probe"] == (max(1, round(0.125 * batch_size)) if probes else 0)
    assert sum(kind == "new" for kind, _ in schedule.rows) >= epochs * new - 1e-6


def test_each_new_row_is_seen_once_an_epoch():
    schedule = lay_out(list(range(30)), [], [], FineTuneConfig(batch_size=10, epochs=2))

    assert schedule.steps == 6
    assert set(Counter(schedule.rows).values()) == {2}


def test_the_order_follows_the_seed():
    rows = list(range(50))

    assert lay_out(rows, [], [], FineTuneConfig(seed=1)).rows == lay_out(rows, [], [], FineTuneConfig(seed=1)).rows
    assert lay_out(rows, [], [], FineTuneConfig(seed=1)).rows != lay_out(rows, [], [], FineTuneConfig(seed=2)).rows


def test_shares_of_zero_leave_a_plain_batch():
    config = FineTuneConfig(batch_size=8, replay_share=0, probe_share=0)

    assert set(lay_out(["new"] * 8, ["old"], ["probe"], config).rows) == {"new"}
