"""What the watching page asks and gets; all but `stop` only look."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from starlette.exceptions import HTTPException

from palate.errors import UsageError
from palate.experiments.live.charts import charts_of
from palate.experiments.live.run import LiveRun
from palate.web.watch.desk import WatchVisit
from palate.web.watch.payload import Look, SamplesOf, Stop


def look(visit: WatchVisit, sent: Look) -> dict[str, Any]:
    """Where every run stands, and what the shown ones have that the page has not."""
    if len(sent.shown) != len(sent.have):
        raise HTTPException(400, "shown and have must be of one length")
    known = dict(zip(sent.shown, sent.have, strict=True))
    with visit.desk.board.runs() as runs:
        names = {name for run in runs for name in run.series}
        return {
            "runs": [_standing(run) | _curves(run, known) for run in runs],
            "charts": charts_of(names),
            "comparisons": [asdict(one) for one in visit.desk.board.comparisons],
        }


def samples(visit: WatchVisit, sent: SamplesOf) -> dict[str, Any]:
    """A run's samples after a step; after its newest where there are none of that step."""
    with visit.desk.board.runs() as runs:
        of = _find(runs, sent.run).samples
        step = sent.step if sent.step in of.steps else max(of.steps, default=0)
        return {"step": step, "steps": of.steps, "rows": of.at(step)}


def stop(visit: WatchVisit, sent: Stop) -> dict[str, Any]:
    """Ask a run to save and end after the step that it is in."""
    with visit.desk.board.runs() as runs:
        run = _find(runs, sent.run)
        if not run.status.can_stop:
            raise UsageError(f"{run.name} does not run here any more; there is nothing to stop")
    try:
        run.folder.stop.touch()
    except OSError as error:
        raise UsageError(
            f"{run.name}: the request cannot be left in its folder ({error.strerror}); interrupt "
            "it where it runs, with Ctrl-C"
        ) from None
    return {}


def _find(runs: Sequence[LiveRun], number: int) -> LiveRun:
    if number >= len(runs):
        raise HTTPException(404, "there is no such run")
    return runs[number]


def _standing(run: LiveRun) -> dict[str, Any]:
    return {
        "id": run.id,
        "name": run.name,
        "stage": run.stage,
        **asdict(run.status),
        "sample_steps": run.samples.steps,
        "num_bad": run.num_bad,
        "findings": [asdict(one) for one in run.findings.worst_first],
    }


def _curves(run: LiveRun, known: dict[int, int]) -> dict[str, Any]:
    """The version, and the curves that changed since the one that the page has."""
    if run.id not in known:
        return {}
    anew, curves = run.curves_since(known[run.id])
    return {"version": run.version, "anew": anew, "curves": curves}
