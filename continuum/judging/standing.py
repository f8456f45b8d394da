"""What must be said beside a judge's scores wherever they are shown: whether they are calibrated, and whose kin the judge is."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from continuum.judging.calibration import calibrate
from continuum.judging.criteria import rubric_fingerprint
from continuum.judging.families import warn_if_related
from continuum.judging.measures import Measures
from continuum.policy import TaskPolicy
from continuum.rubric import normalised

if TYPE_CHECKING:
    from continuum.store.database import Store


def judge_notes(store: "Store", policy: TaskPolicy, measures: Measures, judged_models: Iterable[str]) -> list[str]:
    """Notes for a report that compares models by a judge's scores; none where no judge scored.

    Args:
        store: where the judge's annotations and the audit labels are.
        policy: of the task, for the rubric that people's labels calibrate.
        measures: what was measured, and by whom.
        judged_models: names of the models whose answers are scored, and of their bases.
    """
    if not measures.judge_name:
        return []
    rubric = rubric_fingerprint(normalised(policy.judge.criteria))
    found = calibrate(store, policy.task, judge=measures.judge_name, rubric=rubric)
    if found.quality is None:
        notes = [f"scores are the judge's ({measures.judge_name}), {found.why_not()}"]
    else:
        notes = [
            f"scores are the judge's ({measures.judge_name}), whose mean of {found.judge_mean:.2f} on this task's traffic "
            f"is {found.words()}: the differences here are not corrected"
        ]
    kin = warn_if_related(measures.judge_name, judged_models)
    return [*notes, kin] if kin else notes
