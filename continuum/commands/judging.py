"""Judging by hand, and whether the judge can be believed."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from continuum.commands.terminal import Json, Task, bar, complain, print_json, run, say, show_table
from continuum.store import default_store

if TYPE_CHECKING:
    from continuum.annotation.rounds import Round
    from continuum.annotation.trust import Spending, Trust
    from continuum.records import Admission
    from continuum.statistics.agreement import Agreement
    from continuum.store.database import Store


def annotate(
    task: Task,
    since: Annotated[str | None, typer.Option(help="Only the last, such as 7d.")] = None,
    batch: Annotated[bool, typer.Option("--batch", help="Leave it to the provider's batch endpoint, at half the price.")] = False,
    collect: Annotated[bool, typer.Option("--collect", help="Only look at what was left to the batch endpoint.")] = False,
    live: Annotated[bool, typer.Option("--live", help="Judge now, whatever the policy says.")] = False,
    as_json: Json = False,
) -> None:
    """Judge the task's interactions that have not been judged yet, and draw the samples for people and the second judge."""
    from continuum.annotation import rounds
    from continuum.annotation.trust import Trust

    if batch + collect + live > 1:
        raise typer.BadParameter("--batch, --collect and --live exclude each other")
    store = default_store()
    policy = store.tasks.get(task).policy
    mode = "batch" if batch else "collect" if collect else "live" if live else None
    with bar("judging") as on_progress:
        done = run(rounds.annotate(store, policy, since=since, mode=mode, on_progress=on_progress))
    if as_json:
        print_json(asdict(done) | {"cost_usd": done.cost_usd})
    else:
        _tell(done, Trust.of(store, task))
    for trouble in done.troubles:
        complain(f"warning: {trouble}")


def _tell(done: "Round", trust: "Trust") -> None:
    say(done.words() or "nothing to do")
    if done.stats is not None:
        told = done.stats
        counts = {
            "from before": told.cached,
            "unparseable": told.unparseable,
            "suspected injection": told.suspected_injection,
            "not applicable": told.not_applicable,
            "without a call": told.floored,
            "skipped": told.skipped,
        }
        besides = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
        say(f"{told.total} have a score: {told.score_histogram}" + (f"; {besides}" if besides else ""))
    if trust.calibration is not None:
        say(f"quality {trust.calibration.words()}")
    if trust.jury:
        say(jury_line(trust.jury))
    if done.drawn.audit or done.drawn.anchors or done.useful:
        say(f"for people: {done.drawn.audit} drawn at random, {done.drawn.anchors} anchors, {done.useful} useful ones")


def judge(task: Task, as_json: Json = False) -> None:
    """Say how far the task's judge can be believed, and what it costs."""
    from continuum.annotation.trust import Trust, spending

    store = default_store()
    policy = store.tasks.get(task).policy
    trust, money = Trust.of(store, task), spending(store, policy)
    if as_json:
        print_json(as_plain(trust, money))
        return
    if trust.judge is None:
        say(f"nobody has judged {task} yet: continuum annotate {task}")
        if trust.admission is not None:
            say(admission_line(trust.admission))
    elif policy.judge.model and policy.judge.model not in trust.judge:
        say(f"the policy names {policy.judge.model}, which has not judged yet; what follows is of {trust.judge}")
    for line in lines_of(trust):
        say(line)
    say(queues(store, task))
    show_table(money_table(money, policy.judge.budget_period))


def lines_of(trust: "Trust") -> list[str]:
    """What is known of a judge, a line each."""
    if trust.judge is None or trust.calibration is None:
        return []
    left_out = "".join(f", {count} {status.replace('_', ' ')}" for status, count in trust.calibration.left_out.items())
    told = [f"{trust.judge}: quality {trust.calibration.words()}, over {trust.calibration.judged} judged{left_out}"]
    said = {"the audit's labels": trust.calibration.audit_agreement, "other feedback": trust.calibration.agreement}
    for whom, found in said.items():
        if found is None:
            told.append(f"with {whom}: fewer than ten answers have any")
            continue
        told.append(
            f"with {whom}, on {found.interactions} answers: kappa {found.kappa:.2f}, weighted {found.weighted_kappa:.2f}, "
            f"a constant's {found.constant_kappa:.0f}; the same score on {found.equal:.0%}, a constant {found.constant_equal:.0%}"
        )
    if trust.jury:
        told.append(jury_line(trust.jury))
    told.append("attack texts: not tested" if trust.admission is None else admission_line(trust.admission))
    if trust.round is None:
        told.append("drift: the anchors were not judged yet")
    else:
        alarms = "; ".join(trust.round.evidence.get("alarms", [])) or trust.round.evidence.get("words") or "no alarm"
        told.append(f"drift on {len(trust.round.scores)} anchors, {trust.round.created_at:%Y-%m-%d}: {alarms}")
    if trust.gamed is not None:
        told.append(f"gamed: {trust.gamed.words()}")
    return told


def jury_line(jury: "dict[str, Agreement]") -> str:
    """How far a jury's judges agree."""
    parts = [f"{name} {found.value:.2f} [{found.low:.2f}, {found.high:.2f}]" for name, found in jury.items()]
    answers = max(found.items for found in jury.values())
    return f"the jury's judges agree with Krippendorff's alpha, on {answers} answers: {', '.join(parts)}"


def admission_line(admission: "Admission") -> str:
    """How a judge took the attack texts."""
    seen, verdict = admission.evidence, "admitted" if admission.admitted else "NOT ADMITTED"
    return (
        f"attack texts lift bad answers by {seen['uplift']:+.2f} points, {seen['limit']:g} are allowed: "
        f"{admission.judge} is {verdict} (worst: {seen['worst']['family']} {seen['worst']['uplift']:+.2f})"
    )


def queues(store: "Store", task: str) -> str:
    """How many wait in each queue that nobody has given a verdict on, and the command that shows them."""
    from continuum.annotation.labelling import QUEUES

    left = {queue: store.reviews.count(task, queue, "", overlap=1).left for queue in QUEUES}
    waiting = ", ".join(f"{count} {queue}" for queue, count in left.items())
    return f"waiting for people: {waiting} (continuum label {task} --queue {max(left, key=lambda queue: left[queue])})"


def money_table(money: "list[Spending]", period: str) -> Table:
    """What this period has cost."""
    table = Table(f"this {period}", "spent", "of it unknown", "reserved", "share", box=None)
    for row in money:
        limit = "no limit" if row.limit_usd is None else f"${row.limit_usd:.4f}"
        table.add_row(row.purpose, f"${row.spent_usd:.4f}", f"${row.unknown_usd:.4f}", f"${row.reserved_usd:.4f}", limit)
    return table


def as_plain(trust: "Trust", money: "list[Spending]") -> dict[str, object]:
    """The same as plain JSON."""
    return {
        "judge": trust.judge,
        "calibration": trust.calibration.as_dict() if trust.calibration else None,
        "admission": trust.admission.model_dump(mode="json") if trust.admission else None,
        "anchors": trust.round.model_dump(mode="json") if trust.round else None,
        "gamed": trust.gamed.as_dict() if trust.gamed else None,
        "jury": {name: asdict(found) for name, found in trust.jury.items()},
        "spending": [row.as_dict() for row in money],
    }
