"""What redaction finds and what it costs: the figures of `redaction.py`, as claims."""

from benchmarks.capture.redaction import measure as measured
from benchmarks.claims import Entry, Result, Setting, shown, table

GOAL_US = 50
"""CPU of 2 KB of clean text."""
GOAL_RECALL = 0.95


def measure(setting: Setting) -> Result:
    """Run it, and state recall per kind."""
    setting.say("redacting: documents in five locales")
    found = measured(setting.quick)
    lines = table(f"Redaction by {found['redactor']}: recall over {found['documents']:,} documents", "kind", "recall")
    for kind, recall in sorted(found["recall_by_kind"].items()):
        lines.add_row(kind, f"{recall:.3f}")
    costs = {
        "clean": found["clean_us"],
        "with digits": found["clean_with_digits_us"],
        "typographic": found["clean_typographic_us"],
    }
    notes = [
        "CPU us of 2 KB without personal data: " + ", ".join(f"{name} {shown(cost)}" for name, cost in costs.items()),
        f"{found['negatives_kept']:.3f} of {found['negatives']:,} things that only look like personal data were left alone",
    ]
    weakest = min(found["recall_by_kind"], key=found["recall_by_kind"].get)
    return Result(
        [
            Entry.of_value("redaction of 2 KB clean text, CPU us", found["clean_us"], "<=", GOAL_US),
            Entry.of_value("redaction, recall over all kinds and locales", found["recall"], ">=", GOAL_RECALL),
            Entry.of_value(
                f"redaction, recall of the weakest kind ({weakest})", found["recall_by_kind"][weakest], ">=", GOAL_RECALL
            ),
        ],
        lines,
        notes,
    )
