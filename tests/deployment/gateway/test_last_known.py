import os
import time
from pathlib import Path

from continuum.deployment.gateway.following import KnownRoutes
from continuum.deployment.gateway.last_known import DRAFT_S, read_known, write_known


def test_what_a_killed_process_left_half_written_is_taken_away_and_what_is_being_written_is_not(tmp_path: Path) -> None:
    file, left, under_way = (tmp_path / name for name in ("routes.json", "routes.json.17.ab12", "routes.json.18.cd34"))
    for draft in (left, under_way):
        draft.write_text("{")
    long_ago = time.time() - 2 * DRAFT_S
    os.utime(left, (long_ago, long_ago))

    write_known(file, KnownRoutes(serving=()))

    assert {path.name for path in tmp_path.iterdir()} == {file.name, under_way.name}
    assert read_known(file, KnownRoutes) == KnownRoutes(serving=())
