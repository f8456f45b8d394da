"""Runs the benchmarks of the guard.

| name | what it measures |
|---|---|
| blocking | how often a candidate that fell no further than it may is blocked, on made-up golden sets of eight kinds |
| approving | how often one that fell further by the whole resolution is approved, on the same kinds |
| families | whole verdicts on several metrics: how often an equal model is blocked, and whether the verdict says so |
| power | how often a fall of 0.05 is found, and whether the fall that a verdict says it can find is right |
| reusing | twenty candidates on one golden set: the chance that luck approves a bad one |
| timing | what the statistics cost |
| tampering | one byte changed anywhere upstream of a checkpoint: is it refused, and by name |
| tickets | a real log: an honest candidate, one trained on badly rated rows, one on shuffled answers |
"""

import os

from benchmarks.claims import Setting
from benchmarks.running import Suite, main


def prepared(setting: Setting) -> Setting:
    """What is trained here is written below the folder of the run, not into the home of whoever runs it."""
    os.environ["CONTINUUM_HOME"] = str(setting.folder / "home")
    return setting


SUITE = Suite(
    "benchmarks.guard",
    "How often the guard's word is wrong, what it finds, and what it costs, against its goals and beside what others do.",
    ("blocking", "approving", "families", "power", "reusing", "timing", "tampering", "tickets"),
    prepared=prepared,
)

if __name__ == "__main__":
    main(SUITE)
