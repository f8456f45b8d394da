"""A backlog that was judged is judged again: what does it cost the second time, and does it say the same?"""

import asyncio
from dataclasses import asdict

from benchmarks.claims import Entry, Result, Setting, table
from benchmarks.judging.backlogs import backlog
from benchmarks.judging.provider import MODEL, Manners, running_provider
from benchmarks.judging.spender import PRICE, TASK
from continuum.annotation.annotator import Annotator
from continuum.judging.model_judge import EndpointJudge
from continuum.models.endpoint import EndpointModel
from continuum.store.database import Store

OF_THIS_RUN = ("cost_usd", "cached", "judged")
"""Of the stats, what speaks of a run and not of the backlog."""


INTERACTIONS, INTERACTIONS_QUICK = 1000, 120


def measure(setting: Setting, count: int | None = None) -> Result:
    """Judge a backlog of so many interactions twice, and a third time after every annotation of it was deleted."""
    count = count or (INTERACTIONS_QUICK if setting.quick else INTERACTIONS)
    store, _ = backlog(setting.folder / "rerun.db", count, data=setting.data, seed=setting.seed)
    shown = table("The same backlog again", "run", "calls", "US dollars", "judged", "from before", "score histogram")
    runs, calls = [], []
    with running_provider() as provider:
        for number, name in enumerate(("first", "again", "annotations deleted")):
            setting.say(f"{name} run")
            provider.reset(Manners(latency_s=0.02, garbled=0.05, idempotent=False))
            if number == 2:
                forget_annotations(store)
            model = EndpointModel(MODEL, base_url=provider.base_url, price=PRICE)
            annotator = Annotator(EndpointJudge(model), store=store, concurrency=16, admission="off")
            stats = asyncio.run(annotator.annotate_backlog(TASK))
            runs.append(stats)
            calls.append(provider.ledger().requests)
            shown.add_row(
                name,
                str(calls[-1]),
                f"{stats.cost_usd:.6f}",
                str(stats.judged),
                str(stats.cached),
                str(list(stats.score_histogram.values())),
            )
    store.close()
    said = [{k: v for k, v in asdict(stats).items() if k not in OF_THIS_RUN} for stats in runs]
    entries = [
        Entry.of_value("calls of a re-run", calls[1], "==", 0),
        Entry.of_value("US dollars of a re-run", runs[1].cost_usd, "==", 0),
        Entry.of_value("fields of the stats that a re-run changes", sum(said[0][k] != said[1][k] for k in said[0]), "==", 0),
        Entry.of_value("calls after the annotations were lost and the judgements kept", calls[2], "==", 0),
    ]
    return Result(entries, shown, [f"{count} interactions; identical: {', '.join(said[0])}"])


def forget_annotations(store: Store) -> None:
    """Delete every annotation; what was judged of each content stays."""
    from sqlalchemy import delete

    from continuum.store.tables import annotations

    with store.engine.begin() as connection:
        connection.execute(delete(annotations))
