"""A deployment's trial as the Dagster UI shows it: the confidence sequence of its quality, and the split of the traffic."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from continuum.deployment.routing import PRODUCTION
from continuum.deployment.watch.course import Course, Point, Split, course_of
from continuum.errors import ConfigurationError
from continuum.policy import TaskPolicy
from continuum.serving_records import DeploymentEvent, DeploymentRecord, DeploymentState
from continuum_pipelines.handover import readable
from continuum_pipelines.plots import ACCENT, BAD, FAINT, HEIGHT, MARGIN, WIDTH, between, fitting, spread, text
from continuum_pipelines.tables import markdown, rows_table

if TYPE_CHECKING:
    from continuum.store.database import Store

LEFT = 34
POINTS = 18
MOST_STEPS = 20
MOST_EVENTS = 20
MOST_LOOKS = 12
NARROWEST = 0.05
"""The axis shows at least this far from the last difference to either side."""
WIDEST = 2.0
"""And at most so many times as far as the last bounds: the first ones, of a few conversations, reach from -1 to 1."""


def metadata_of(store: "Store", task: str) -> dict[str, Any]:
    """What a task's newest trial shows: who may serve, two pictures, and the tables that they are drawn from."""
    route = route_table(store.deployments.serving(task))
    record = next(iter(store.deployments.of(task)), None)
    return {"route": route} | ({} if record is None else trial_metadata(store, record, store.tasks.get(task).policy))


def figures_of(store: "Store", task: str) -> dict[str, Any]:
    """A task's newest trial in numbers and tables: beside a check the UI draws numbers over time, and hides all Markdown."""
    record = next(iter(store.deployments.of(task)), None)
    try:
        policy = store.tasks.get(task).policy
    except ConfigurationError:
        return {}  # A policy that cannot be read is told of by whoever leads the deployment.
    if record is None:
        return {}
    course = course_of(store, record, policy)
    # Between two turns the asset's own table of who answers may be old: the check's is of now.
    route = route_table(store.deployments.serving(task))
    figures: dict[str, Any] = {"route": route, "traffic": record.traffic}
    figures |= {"steps": _steps_table(course), "looks": _looks_table(course)}
    if course.points:
        last = course.points[-1].difference
        figures |= {"difference": last.delta, "at_least": last.lower, "at_most": last.upper}
    return {name: readable(value) for name, value in figures.items() if value is not None}


def route_table(route: Sequence[DeploymentRecord]) -> dg.TableMetadataValue | None:
    """Who answers the task's traffic now, and how much of it: all of it together, production's share too.

    Args:
        route: the deployments that may receive traffic, newest first.
    """
    if not route:
        return None
    newest, champion = route[0], next((row for row in route if row.state is DeploymentState.LIVE), None)
    tried = newest.traffic if newest.state is not DeploymentState.LIVE else 0.0
    shares = {row.id: 0.0 for row in route} | {newest.id: tried}
    rows = []
    if champion is not None:
        shares[champion.id] = 1 - tried
    elif tried < 1:
        rows = [{"model": PRODUCTION, "state": "-", "traffic": f"{1 - tried:.0%}", "alarm": "-"}]
    models = [
        {"model": row.model, "state": str(row.state), "traffic": f"{shares[row.id]:.0%}", "alarm": row.alarm or "-"}
        for row in route
    ]
    return rows_table(models + rows)


def trial_metadata(store: "Store", record: DeploymentRecord, policy: TaskPolicy) -> dict[str, Any]:
    """One deployment's trial."""
    course, events = course_of(store, record, policy), store.deployments.events(record.id)
    about = f"{record.model} less {record.stable_model}"
    return {
        "quality": markdown(sequence_plot(course.points, f"{about}, scores from 0 to 1", record.rollback_on_quality_drop)),
        "split": markdown(split_plot(course.splits, f"share of the traffic of {record.model}, UTC")),
        "looks": _looks_table(course),
        "steps": _steps_table(course),
        "events": rows_table([_event_row(event) for event in events[-MOST_EVENTS:]]),
    }


def sequence_plot(points: Sequence[Point], title: str, limit: float | None = None) -> str:
    """The difference of the arms with its bounds as conversations came in, a rule at no change and one at the limit.

    The bounds hold at all looks together. Empty where there are no two points.
    """
    if len(points) < 2:
        return ""
    drawn = [points[place].difference for place in spread(len(points), POINTS)]
    last = drawn[-1]
    room = max(NARROWEST, WIDEST * max(last.upper - last.delta, last.delta - last.lower))
    # No change is always in sight, and so is a limit that is near.
    low, high = min(last.delta - room, -NARROWEST), max(last.delta + room, NARROWEST)
    low = low if limit is None else min(low, -min(limit, 2 * room) * 1.1)

    def up(value: float) -> int:
        return between(value, low, high, HEIGHT - 12, 4)

    step = (WIDTH - LEFT) / (len(drawn) - 1)
    places = [round(LEFT + n * step) for n in range(len(drawn))]
    band = [f"{x},{up(one.upper)}" for x, one in zip(places, drawn, strict=True)]
    band += [f"{x},{up(one.lower)}" for x, one in reversed(list(zip(places, drawn, strict=True)))]
    line = ",".join(f"{x},{up(one.delta)}" for x, one in zip(places, drawn, strict=True))
    rules = f"<path d='M{LEFT},{up(0)}H{WIDTH}' stroke='{FAINT}'/>"
    if limit is not None and -limit >= low:
        rules += f"<path d='M{LEFT},{up(-limit)}H{WIDTH}' stroke='{BAD}' stroke-dasharray='4'/>"
    body = (
        f"<polygon points='{','.join(band)}' fill='{ACCENT}' opacity='.3'/>"
        f"<polyline points='{line}' fill='none' stroke='{ACCENT}' stroke-width='2'/>{rules}"
    )
    named = text(0, up(0) + 3, "0") + text(WIDTH, 10, f"{last.delta:+.3f}", anchor="end")
    counted = text(WIDTH, HEIGHT - 1, f"{points[-1].conversations} conversations", anchor="end")
    return fitting([body + named + counted, body + named, body], title)


def split_plot(splits: Sequence[Split], title: str) -> str:
    """The share of the traffic by the steps of the ramp, each as wide as the next, with when it began; empty without any."""
    shown = [split for split in splits if split.share > 0 or split.candidate][-MOST_STEPS:]
    if not shown:
        return ""
    room = (WIDTH - LEFT) / len(shown)
    path, served = "", ""
    for n, split in enumerate(shown):
        x, y = LEFT + n * room, between(split.share, 0, 1, HEIGHT - MARGIN, 8)
        path += f"{'L' if path else 'M'}{x:.0f},{y}H{x + room:.0f}"
        if split.served is not None:
            served += f"M{x + room / 2:.0f},{between(split.served, 0, 1, HEIGHT - MARGIN, 8)}h0"
    axis = f"<path d='M{LEFT},{HEIGHT - MARGIN}H{WIDTH}' stroke='{FAINT}'/>"
    body = f"{axis}<path d='{path}' fill='none' stroke='{ACCENT}' stroke-width='2'/>"
    dots = f"<path d='{served}' stroke='{BAD}' stroke-width='6' stroke-linecap='round'/>" if served else ""
    names = text(0, 12, "100%") + text(0, HEIGHT - MARGIN, "0")
    begins = text(LEFT, HEIGHT - 4, f"{shown[0].begins:%m-%d %H:%M}")
    ends = text(WIDTH, HEIGHT - 4, f"{shown[-1].begins:%m-%d %H:%M}", anchor="end") if len(shown) > 1 else ""
    return fitting([body + dots + names + begins + ends, body + dots + names, body + names, body], title)


def _looks_table(course: Course) -> dg.TableMetadataValue | None:
    return rows_table([_point_row(course.points[place]) for place in spread(len(course.points), MOST_LOOKS)])


def _steps_table(course: Course) -> dg.TableMetadataValue | None:
    return rows_table([_split_row(split) for split in course.splits if split.share or split.served])


def _point_row(point: Point) -> dict[str, Any]:
    found = point.difference
    return {
        "until (UTC)": f"{point.at:%Y-%m-%d %H:%M}",
        "conversations": found.candidate + found.stable,
        "its own": found.candidate,
        "at least": found.lower,
        "difference": found.delta,
        "at most": found.upper,
    }


def _split_row(split: Split) -> dict[str, Any]:
    return {
        "since (UTC)": f"{split.begins:%Y-%m-%d %H:%M}",
        "configured": f"{split.share:.0%}",
        "served": "-" if split.served is None else f"{split.served:.1%}",
        "conversations": split.candidate + split.stable,
        "its own": split.candidate,
    }


def _event_row(event: DeploymentEvent) -> dict[str, Any]:
    return {
        "at (UTC)": f"{event.at:%Y-%m-%d %H:%M}",
        "actor": event.actor,
        "action": event.action,
        "traffic": f"{event.to_traffic:.0%}",
        "reason": event.reason,
    }
