"""Runs the benchmarks of training.

| name | what it measures |
|---|---|
| penalty | the penalty and the Fisher against explicit and one-by-one references: how exact they are, what they cost |
| fishing | the Fisher by hooks against a loop over single rows |
| stepping | a step with the penalty over one without, at a hundred million parameters |
| against_trl | a training against TRL's own trainer on the same rows |
| killing | a training killed at random points: does it go on, and to the same bytes |
| poisoning | rows that break a constraint: filtered, and held against where they are not |
| preferring | corrections and thumbs: does the model come to prefer what people preferred |
| sequence | what one task after another forgets, in seven ways |
| logs | two real logs, one base, two turns: what is kept |
"""

import os

from benchmarks.claims import Setting
from benchmarks.running import Suite, main


def prepared(setting: Setting) -> Setting:
    """What is trained here is written below the folder of the run, not into the home of whoever runs it."""
    os.environ["CONTINUUM_HOME"] = str(setting.folder / "home")
    return setting


SUITE = Suite(
    "benchmarks.training",
    "What training forgets, what keeping it costs, and what a training survives, against their goals and their peers.",
    ("penalty", "stepping", "fishing", "against_trl", "killing", "poisoning", "preferring", "sequence", "logs"),
    prepared=prepared,
)

if __name__ == "__main__":
    main(SUITE)
