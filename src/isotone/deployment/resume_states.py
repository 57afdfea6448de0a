"""Many images → presentation states; a state that an earlier run wrote stays while every image in it is as it was."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import closing

from isotone._runtime.journal import Journal
from isotone.curves.tone_curve import ToneCurve
from isotone.data.images import SECONDS, time_limit
from isotone.deployment.deliver import Job, Outcome
from isotone.deployment.deliver_states import Group, Planned, StateDelivery, Survey
from isotone.deployment.job_table import JobTable
from isotone.deployment.reduced_reading import Trial, agreed, to_try
from isotone.deployment.resume import PASSING, Result, Results, Run, is_written, note_refusal, take_away
from isotone.errors import IsotoneError, RadiographError
from isotone.imaging.inspect import duplicate

Found = list[tuple[Job, Planned | IsotoneError]]


def deliver_states(
    delivery: StateDelivery, allow: Collection[str], jobs: JobTable, journal: Journal, run: Run
) -> Results:
    """A curve for each image, then a file for each group of images that are new or changed.

    If the group of a new image already has a state, the image gets a second state. The first stays valid for images
    that are gone.
    """
    found = _surveyed(delivery, allow, jobs, run)
    stale, current = _compared(found, journal, delivery)
    outcomes = {job.key: planned.outcome for job, planned in found if isinstance(planned, Planned)}
    written, failed = _written(delivery, _groups(found, current), outcomes, journal, run)
    for job, planned in found:
        refusal = planned if isinstance(planned, IsotoneError) else failed.get(job.key)
        if refusal is not None:
            note_refusal(job, refusal, journal)
            yield Result(job, refusal)
            continue
        if job.key in current:
            journal.see(job.source)
        elif job.key not in written:  # it stays as it is
            _note(job, outcomes[job.key], None, journal)
        target = written.get(job.key) or current.get(job.key, "")
        yield Result(job, outcomes[job.key], target, job.key in current)
    for target in stale:
        if not journal.holder(target):  # no image that is gone, or that could not be read now, is in it
            take_away(delivery.output, target)


def _written(
    delivery: StateDelivery, groups: list[Group], outcomes: Mapping[str, Outcome], journal: Journal, run: Run
) -> tuple[dict[str, str], dict[str, IsotoneError]]:
    """Write a state for each group: by the key of each image the file that holds it, or why there is none."""
    failed: dict[str, IsotoneError] = {}
    written: dict[str, str] = {}
    with closing(run(delivery, groups, "writing", lambda group: SECONDS + len(group.images))) as fresh:
        for group, result in fresh:
            if isinstance(result, IsotoneError):
                result = {job.key: _same_refusal(result, job) for job, _ in group.images}
            failed |= result
            for job, _ in group.images:
                if job.key not in failed:
                    written[job.key] = group.target
                    _note(job, outcomes[job.key], group.target, journal)
    return written, failed


def _note(job: Job, outcome: Outcome, target: str | None, journal: Journal) -> None:
    said, alike = outcome.to_entry()
    journal.note(job.source, job.key, job.path, said, target=target, shared=alike)


def _surveyed(delivery: StateDelivery, allow: Collection[str], jobs: JobTable, run: Run) -> Found:
    trials = to_try(delivery.harmonizer, jobs)
    reduced: dict[str | None, int] = {}
    if trials:
        with closing(run(Trial(delivery.harmonizer), trials, "comparing", time_limit)) as tried:
            reduced = agreed(tried)
    seen: set[str] = set()
    found: Found = []
    with closing(run(Survey(delivery.harmonizer, frozenset(allow), reduced), jobs, "reading", time_limit)) as surveyed:
        for job, planned in surveyed:
            if isinstance(planned, Planned) and _met_before(planned.outcome, seen):
                planned = duplicate(job.path)
            found.append((job, planned))
    return found


def _compared(found: Found, journal: Journal, delivery: StateDelivery) -> tuple[set[str], dict[str, str]]:
    """Outdated states of earlier runs, and for each image key the state that is still valid."""
    stale: set[str] = set()
    current: dict[str, str] = {}
    for job, planned in found:
        entry = journal.find(job.source)
        if entry is None or entry.target is None:
            continue
        if isinstance(planned, IsotoneError):
            stale |= {entry.target} if planned.code not in PASSING else set()
        elif entry.has(job.key) and is_written(delivery.output, entry.target):
            current[job.key] = entry.target
        else:
            stale.add(entry.target)
    return stale, {key: target for key, target in current.items() if target not in stale}


def _groups(found: Found, current: Collection[str]) -> list[Group]:
    members: dict[str, list[tuple[Job, ToneCurve]]] = {}
    for job, planned in found:
        if isinstance(planned, Planned) and planned.group is not None and job.key not in current:
            members.setdefault(planned.group, []).append((job, planned.outcome.curve or ToneCurve()))
    return [Group.of(name, images, number) for number, (name, images) in enumerate(members.items(), 1)]


def _met_before(outcome: Outcome, seen: set[str]) -> bool:
    """Whether an earlier image has the same SOP Instance UID; an archive would keep one of them."""
    if outcome.instance is None:
        return False
    before = outcome.instance in seen
    seen.add(outcome.instance)
    return before


def _same_refusal(error: IsotoneError, job: Job) -> IsotoneError:
    return RadiographError(error.code, error.what, file=job.path, next_step=error.next_step)
