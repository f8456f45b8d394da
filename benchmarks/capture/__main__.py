"""Runs the benchmarks of capture."""

import json
import sys
from dataclasses import replace

from benchmarks.capture.subject import peers_are_there
from benchmarks.capture.texts import texts
from benchmarks.claims import Setting
from benchmarks.running import Suite, main


def prepared(setting: Setting) -> Setting:
    """What the calls say is written down once, for ours and the peers."""
    if not peers_are_there():
        print("The peers are not installed: their columns stay empty (`make bench-peers` installs them).", file=sys.stderr)
    file = setting.folder / "texts.json"
    file.write_text(json.dumps(texts(setting.data, setting.seed)), "utf-8")
    return replace(setting, texts=file, peers=peers_are_there())


SUITE = Suite(
    "benchmarks.capture",
    "Capture and its store against their goals.",
    ("caller", "kills", "outage", "draining", "reading", "redacting", "rating"),
    # The store of `reading` takes longer to fill than the rest to run.
    too_long=("reading",),
    prepared=prepared,
)

if __name__ == "__main__":
    main(SUITE)
