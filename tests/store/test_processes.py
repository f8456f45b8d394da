import os

from continuum.store.processes import began, ended


def test_this_process_has_not_ended_and_where_nothing_is_known_nothing_is_said() -> None:
    here = began(os.getpid())

    assert here
    assert ended(os.getpid(), here) is False
    assert ended(os.getpid(), "") is None
