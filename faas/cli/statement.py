"""A bill as CSV, and as an HTML page that needs nothing else. Pure functions of what the control API answers."""

from __future__ import annotations

import csv as csv_module
import html as html_module
import io
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from faas.core.money import billing

_SAME = ("count", "billed_count", "billed_ms", "mb_ms", "cpu_us", "cost_pico", "cost_decimal")
_THERE = ("there_pico", "there_decimal")
_ROOT = ("function", "trigger", "object", "ended_at_ms")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_NOTHING = "(none)"

_STYLE = """
body { font: 14px/1.5 system-ui, sans-serif; margin: 2.5rem auto; max-width: 60rem; padding: 0 1rem; color: #1a1a1a; }
h1 { font-size: 1.6rem; margin: 0 0 .25rem; }
p { margin: .25rem 0; color: #444; }
table { border-collapse: collapse; width: 100%; margin: 1.5rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .6rem; text-align: right; border-bottom: 1px solid #ddd; white-space: nowrap; }
thead th { white-space: normal; vertical-align: bottom; }
th.name, td.name { text-align: left; white-space: normal; overflow-wrap: anywhere; min-width: 8rem; }
thead th { border-bottom: 2px solid #1a1a1a; }
tfoot td { border-top: 2px solid #1a1a1a; border-bottom: 0; font-weight: 600; }
@media print {
  body { margin: 0; max-width: none; padding: 0; font-size: 9pt; }
  th, td { padding: .3rem .4rem; }
  thead { display: table-header-group; }
  tfoot { display: table-row-group; }
  tr { break-inside: avoid; }
  @page { margin: 18mm; }
}
"""


def names(found: dict[str, Any], line: dict[str, Any]) -> tuple[str, ...]:
    """What a line is about, as people read it: one cell, or for a chain its root and what that was."""
    if found["by"] != "root":
        return (line["name"] or _NOTHING,)
    cut = " (its first records)" if line["is_cut"] else ""
    return line["name"], (line["object"] or f"{line['function']}, {line['trigger']}") + cut


def explained(compared: dict[str, Any]) -> Iterator[str]:
    """What the prices of a comparison are, what of them is counted, and what is left out."""
    head = f"{compared['title']}, {compared['region']}, {compared['architecture']}, on demand:"
    yield f"{head} list prices of {compared['dated']}, from {' and '.join(compared['sources'])}"
    yield f"counted: {'; '.join(compared['counts'])}"
    yield f"left out: {'; '.join(compared['leaves_out'])}"
    if compared["unknown"]:
        yield f"not compared: {compared['unknown']:,} billed attempts of before it was kept how much memory they had"


def csv(found: dict[str, Any]) -> str:
    """A header and a row for each line, numbers whole and exact (RFC 4180)."""
    rooted = found["by"] == "root"
    columns = (*_SAME, *(_THERE if found["compared"] else ()), *(_ROOT if rooted else ()))
    written = io.StringIO()
    rows = csv_module.writer(written)
    rows.writerow([found["by"], *columns, "currency"])
    for line in found["lines"]:
        rows.writerow(_plain([line["name"], *(line[column] for column in columns), found["currency"]]))
    return written.getvalue()


def _plain(cells: Iterable[Any]) -> list[Any]:
    """Cells that no spreadsheet takes for a formula: keys of objects are anybody's text."""
    return [f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell for cell in cells]


def html(found: dict[str, Any]) -> str:
    """One page: no script, nothing to load, and a style for paper."""
    compared = found["compared"]
    notes = "" if compared is None else "".join(f"<p>{_text(each)}</p>\n" for each in explained(compared))
    if found["next"]:
        shown = f"The newest {len(found['lines'])}; older ones are not on this page."
        notes += f"<p>{_text(shown)}</p>\n"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(title(found))}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>Statement</h1>\n<p>{_text(title(found))}</p>\n{_table(found)}{notes}</body>\n</html>"
    )


def title(found: dict[str, Any]) -> str:
    """What a statement is of."""
    by = f"tag {found['tag']}" if found["tag"] else found["by"]
    return f"By {by}, {_period(found)}, in {found['currency']}"


def _period(found: dict[str, Any]) -> str:
    exact = found["by"] == "root"
    since = "the first day" if found["since_ms"] is None else _moment(found["since_ms"], exact)
    # Whole days are counted: the last is the one that holds the millisecond before the end.
    until = "now" if found["until_ms"] is None else _moment(found["until_ms"] - (not exact), exact)
    return f"{since} to {until}" + (" (UTC)" if exact else ", whole days (UTC)")


def _moment(at_ms: int, exact: bool) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S" if exact else "%Y-%m-%d")


def _table(found: dict[str, Any]) -> str:
    compared = found["compared"]
    named = ("Root", "Of") if found["by"] == "root" else ((found["tag"] or found["by"]).capitalize(),)
    heads = ["Attempts", "Billed ms", "GB-seconds", "CPU seconds", f"Cost ({found['currency']})"]
    if compared is not None:
        heads.append(f"{compared['title']} ({compared['currency']})")
    head = "".join(f'<th class="name">{_text(each)}</th>' for each in named) + "".join(
        f"<th>{_text(each)}</th>" for each in heads
    )
    rows = "".join(_row(names(found, line), line, compared) for line in found["lines"])
    total = _row(("Total", "")[: len(named)], found["total"], compared)
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody>\n<tfoot>\n{total}</tfoot>\n</table>\n"


def _row(named: Iterable[str], amount: dict[str, Any], compared: dict[str, Any] | None) -> str:
    cells = [
        f"{amount['count']:,}",
        f"{amount['billed_ms']:,}",
        f"{amount['mb_ms'] / 1_024_000:,.3f}",
        f"{amount['cpu_us'] / 1_000_000:,.3f}",
        billing.aligned(amount["cost_pico"]),
        *([] if compared is None else [billing.aligned(amount["there_pico"])]),
    ]
    head = "".join(f'<td class="name">{_text(each)}</td>' for each in named)
    return f"<tr>{head}{''.join(f'<td>{_text(each)}</td>' for each in cells)}</tr>\n"


def _text(value: str) -> str:
    return html_module.escape(value)
