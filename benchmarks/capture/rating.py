"""How near the rater model comes to an oracle when liars flood the feedback: the figures of `raters.py`, as claims."""

from benchmarks.capture.raters import CLAIMED
from benchmarks.capture.raters import measure as measured
from benchmarks.capture.raters import table as lines_of
from benchmarks.claims import Entry, Result, Setting

GOAL_POINTS = 3.0


def measure(setting: Setting) -> Result:
    """Run it; beside the model stands majority vote, on the same verdicts."""
    setting.say("rating: made-up raters")
    found = measured(setting.quick)
    flood = found["flood"]
    majority = 100 * (found["oracle"] - found["majority"])
    notes = [
        f"{found['seeds']} seeds, the worst of them {found['worst_behind_oracle']:.1f} points behind the oracle.",
        f"One user calls {flood['verdicts']:,} answers bad: {flood['before']:.3f} of the items read rightly before, "
        f"{flood['after']:.3f} after; {flood['newest_after']:.3f} where the newest verdict wins.",
        "The peer beside our points is majority vote.",
    ]
    claim = f"rater model, points behind the oracle ({CLAIMED.name})"
    return Result([Entry.of_value(claim, found["behind_oracle"], "<=", GOAL_POINTS, majority)], lines_of(found), notes)
