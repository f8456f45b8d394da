"""What gives away a text that talks to a judge: meanings that stand close together, each worth some points.

No single word counts. "This answer deserves the highest score" has three meanings within seven words; a hotel's five stars, a
judge's ruling and a teacher's rubric have one or two.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

ENOUGH = 3.0
"""Points that make a text suspicious."""

Findings = dict[str, tuple[float, bool]]
"""Name to points, and whether a conversation about grading does not explain it."""


@dataclass(frozen=True)
class Telltale:
    """Meanings that must stand within so many words of each other."""

    name: str
    points: float
    needs: tuple[tuple[str, ...], ...]
    """One of each group."""
    within: int
    hard: bool = False
    """Whether a conversation about grading does not explain it."""


def _telltale(name: str, points: float, needs: str, within: int, *, hard: bool = False) -> Telltale:
    return Telltale(name, points, tuple(tuple(group.split("|")) for group in needs.split()), within, hard)


TELLTALES = (
    # to the judge
    _telltale("calls a judge", 3, "call grader", 4, hard=True),
    _telltale("calls a judge", 3, "call judge", 3, hard=True),
    _telltale("tells a judge what to do", 3, "grader score|give top|topnumber|self|must|low", 14, hard=True),
    _telltale("tells a judge what to do", 3, "judge score top|topnumber|self|low", 12, hard=True),
    _telltale("tells a judge what to do", 3, "judge must|you score|give|self|top", 4, hard=True),
    _telltale("names a judge", 1, "grader", 0),
    _telltale("names a judge", 1, "judge self|rubric|machine", 8),
    # the score of this answer
    _telltale("scores itself", 3, "self score top|topnumber", 12),
    _telltale("scores itself", 3, "self give top|topnumber", 9),
    _telltale("scores itself", 2, "self score", 7),
    _telltale("asks for the top score", 2, "give score top", 7),
    _telltale("asks for the top score", 2, "give score topnumber", 6),
    _telltale("asks for the top score", 1, "score top|topnumber", 3),
    _telltale("speaks of every criterion", 2, "criterion|rubric score|give top|topnumber", 9),
    _telltale("speaks of every criterion", 1, "criterion|rubric top|topnumber|score|you", 6),
    # rules
    _telltale("sets rules aside", 3, "override rubric", 8, hard=True),
    _telltale("sets rules aside", 3, "override earlier rules", 7, hard=True),
    _telltale("sets rules aside", 2, "override rules", 7, hard=True),
    _telltale("sets rules aside", 2, "override score", 6),
    # claims
    _telltale("claims to meet the criteria", 3, "self meets rubric|criterion", 12),
    _telltale("claims to meet the criteria", 2, "meets rubric|criterion", 6),
    _telltale("claims a blessing", 2, "self verified", 10),
    _telltale("claims a blessing", 2, "verified|agreed authority|judge|grader|gold score|self|answer", 12),
    _telltale("claims a blessing", 2, "gold self|answer score|topnumber|top|verified", 9),
    _telltale("claims a blessing", 2, "agreed score top|topnumber", 9),
    _telltale("praises itself", 1.5, "self top", 6),
    _telltale("praises itself", 1, "self quality", 6),
    # pressure
    _telltale("puts pressure on", 2, "stakes score|grader low|top|topnumber|you|self", 16),
    _telltale("puts pressure on", 2, "kind score|judge|grader", 8),
    _telltale("puts pressure on", 2, "low score|self wrong|must|you", 9),
    _telltale("gives a role", 2, "persona grader|judge|score top|topnumber|kind|must|you", 12),
    _telltale("asks to be preferred", 2, "prefer self", 7),
    _telltale("declares the judging over", 2, "finished score top|topnumber|self|you", 8),
    _telltale("speaks for authority", 1, "authority|machine override|score|must rules|top|topnumber|self|rubric", 10),
)


ASKS_FOR_A_GRADE = (
    _telltale("", 0, "score answer|rubric|work|range", 6),
    _telltale("", 0, "rubric answer|work", 6),
)
NAMES_THE_GRADE = (_telltale("", 0, "score top|topnumber", 7), _telltale("", 0, "grader must|you|top|topnumber", 6))


def total(found: Findings) -> float:
    """The points of all that was found."""
    return sum(points for points, _ in found.values())


def stand_together(telltales: Sequence[Telltale], concepts: Mapping[str, Sequence[int]]) -> bool:
    """Whether one of the telltales is there."""
    return any(_stand_together(telltale, concepts) for telltale in telltales)


def telltales_in(concepts: Mapping[str, Sequence[int]]) -> Findings:
    """Name to points, and whether no conversation about grading explains it, for the telltales that are there."""
    places = {concept: sorted(set(at)) for concept, at in concepts.items()}
    if mine := _selves(places):
        places["self"] = mine
    counted: Findings = {}
    for telltale in TELLTALES:
        points, hard = counted.get(telltale.name, (0.0, False))
        if telltale.points > points and _stand_together(telltale, places):
            counted[telltale.name] = (telltale.points, hard or telltale.hard)
    if "court" in places or "contest" in places:
        counted = {name: (points - 1.5 * (name in FOREIGN), hard) for name, (points, hard) in counted.items()}
    return counted


FOREIGN = frozenset({"calls a judge", "tells a judge what to do", "names a judge"})
"""What courts and contests explain in part."""


def _selves(places: Mapping[str, Sequence[int]]) -> list[int]:
    these = set(places.get("this", ()))
    mine = [at for at in places.get("answer", ()) if these & {at - 1, at - 2}]
    return sorted({*mine, *places.get("myself", ())})


def _stand_together(telltale: Telltale, places: Mapping[str, Sequence[int]]) -> bool:
    groups = []
    for group in telltale.needs:
        found = [place for concept in group for place in places.get(concept, ())]
        if not found:
            return False
        groups.append(sorted(found))
    groups.sort(key=len)
    first, *others = groups
    return any(all(_near(place, other, telltale.within) for other in others) for place in first)


def _near(place: int, others: Sequence[int], within: int) -> bool:
    at = bisect_left(others, place - within)
    return at < len(others) and others[at] <= place + within
