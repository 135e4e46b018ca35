"""The demo from the first line to the last, on a platform that somebody else ends."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from examples.photos.demo import calls, checks, findings, ledger, photos, platform, report, results, watch

PROJECT = Path(__file__).parents[1]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to drop, and where results go. ``own_folder`` None stands for the photographs that are shipped."""

    own_folder: Path | None
    results: Path
    work: Path


def tell(plan: Plan, own: platform.Platform, say: report.Report) -> list[str]:
    """Everything that the demo shows; the faults that were found. Raises `failures.Failed` when it cannot go on."""
    results.check(plan.results)
    chosen = _photos(plan, say)
    say.step(f"faas up --detach   (data directory {own.data_dir})")
    facts = own.start()
    say.say(f"gateway {facts['gateway']}, control API {facts['api']}")
    say.say(f"sandboxes: {own.sandboxes()}")
    say.step(f"faas deploy {PROJECT.name}")
    own.deploy(PROJECT)
    found = _process(chosen, own, say)
    rows = _rows(chosen, found, own)
    say.step("Records")
    say.attempts(rows, found.bill["currency"])
    say.statement(found.bill)
    _save(plan, chosen, rows[watch.FIRST], found, own, say)
    faults = _faults(chosen, found, own)
    say.step("HTTP: the function thumb behind GET /thumb/{name}")
    faults += _call(facts["gateway"], plan, chosen, found, say)
    say.step(f"Timer: the function {calls.TIMER} fires by itself")
    calls.timer(own, say)
    if not faults:
        outputs = watch.OUTPUTS_EACH * len(chosen)
        objects = len(chosen) + outputs
        say.say(f"\nchecked: {outputs} outputs are images, upright and of the right size")
        say.say(f"checked: each of {objects} objects has exactly one successful record, and the bill is their sum")
    return faults


def _photos(plan: Plan, say: report.Report) -> list[photos.Photo]:
    if plan.own_folder is None:
        say.step("Photographs: six shipped with the example, three made of them")
        plan.work.mkdir()
        return photos.shipped(PROJECT / "originals", plan.work)
    say.step(f"Photographs of {plan.own_folder}")
    chosen, left_out = photos.of_folder(plan.own_folder)
    for name in left_out:
        say.say(f"left out, because it is no .jpg, .jpeg or .png (or its name no UTF-8): {name}")
    return chosen


def _process(chosen: Sequence[photos.Photo], own: platform.Platform, say: report.Report) -> ledger.Ledger:
    total = sum(photo.path.stat().st_size for photo in chosen)
    say.step(f"Dropping {len(chosen)} photographs ({total:,} bytes) into photos/in/")
    findings.drop(chosen, own.bucket("photos"))
    with say.progress(len(chosen)) as show:
        watch.until_settled(lambda: own.ask("status"), len(chosen), show)
    return ledger.read(own)


def _rows(chosen: Sequence[photos.Photo], found: ledger.Ledger, own: platform.Platform) -> dict[str, list[report.Row]]:
    """The lines of the table, by stage: each attempt with the bytes that it read and wrote."""
    thumbs, archive = own.bucket("thumbs"), own.bucket("archive")
    written = {f"photos/{photo.key}": [thumbs / key for key in photo.outputs] for photo in chosen}
    copies = findings.archived(archive, thumbs)
    written |= {f"thumbs/{key}": [archive / entry.copy] for key, entry in copies.items()}
    return {
        stage: [
            report.Row(
                attempt=each,
                bytes_in=findings.size([own.buckets / each.object]) if each.object else None,
                bytes_out=findings.size(written.get(each.object, [])) if each.ok else None,
            )
            for each in attempts
        ]
        for stage, attempts in ((watch.FIRST, found.first), (watch.SECOND, found.second))
    }


def _save(
    plan: Plan,
    chosen: Sequence[photos.Photo],
    rows: Sequence[report.Row],
    found: ledger.Ledger,
    own: platform.Platform,
    say: report.Report,
) -> None:
    by_object = {row.attempt.object: row for row in rows if row.attempt.ok}
    thumbs = own.bucket("thumbs")
    tiles = [results.tile(photo, by_object.get(f"photos/{photo.key}"), thumbs) for photo in chosen]
    results.save(plan.results, own.buckets, tiles, found)
    say.say(f"results        {plan.results}  ({', '.join(f'{name}/' for name in results.BUCKETS)} and the ledger)")
    say.say(f"contact sheet  {plan.results / results.SHEET}")


def _faults(chosen: Sequence[photos.Photo], found: ledger.Ledger, own: platform.Platform) -> list[str]:
    thumbs = own.bucket("thumbs")
    done = _done(chosen, found)
    outputs = [key for photo in done for key in photo.outputs]
    faults = checks.ledger_faults([f"photos/{photo.key}" for photo in chosen], found.first)
    for photo in done:
        faults += checks.output_faults(photo, findings.outputs(photo, thumbs))
    faults += checks.ledger_faults([f"thumbs/{key}" for key in outputs], found.second)
    faults += checks.archive_faults(outputs, findings.archived(own.bucket("archive"), thumbs))
    faults += checks.bill_faults(found.bill, watch.FIRST, found.first)
    faults += checks.bill_faults(found.bill, watch.SECOND, found.second)
    accepted = {watch.FIRST: len(chosen), watch.SECOND: len(outputs)}
    return faults + checks.conservation_faults(found.status, accepted)


def _done(chosen: Sequence[photos.Photo], found: ledger.Ledger) -> list[photos.Photo]:
    succeeded = {each.object for each in found.first if each.ok}
    return [photo for photo in chosen if f"photos/{photo.key}" in succeeded]


def _call(
    gateway: str, plan: Plan, chosen: Sequence[photos.Photo], found: ledger.Ledger, say: report.Report
) -> list[str]:
    done = _done(chosen, found)
    if not done:
        return ["there is no thumbnail to ask for"]
    return calls.thumbnail(gateway, done[-1], plan.results / "curl.webp", say)
