"""The bodies of the control API. Every size, duration, moment and amount has its unit in its name.

Amounts of money are exact, twice: ``cost_pico`` in whole pico-units and ``cost_decimal`` in the currency, as text.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from faas.artifacts import comparing
from faas.core import model
from faas.health import facts
from faas.queue import whereabouts
from faas.store import logs

_Doc = msgspec.Meta


class Failure(msgspec.Struct, frozen=True):
    """Why an attempt failed: the user's own error and frames."""

    type: str
    message: str
    stack: tuple[str, ...] = ()


class Line(msgspec.Struct, frozen=True):
    """One line that an attempt printed."""

    at_ms: int
    text: str


class ColdStartStep(msgspec.Struct, frozen=True):
    """One part of `init_ms`: `fetch`, `turn`, `start`, `place`, `import` or `limits`."""

    name: str
    ms: int


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One record, as the command line and the API show it."""

    invocation_id: str
    attempt: int
    function: str
    revision: int
    trigger: str
    mode: model.Mode
    status: model.Status
    error: Failure | None
    cold_start: Annotated[bool, _Doc(description="Whether the attempt waited for a sandbox or for code to load.")]
    cold_start_kind: model.ColdStart
    queue_ms: int
    init_ms: int
    steps: Annotated[tuple[ColdStartStep, ...], _Doc(description="What `init_ms` was spent on; they add up to it.")]
    duration_ms: Annotated[float, _Doc(description="The handler's own time, to the microsecond.")]
    billed_ms: int
    memory_mb: Annotated[int, _Doc(description="Peak memory of the attempt.")]
    memory_limit_mb: int
    cost_pico: Annotated[int, _Doc(description="In pico-units: 10^-12 of the currency.")]
    cost_decimal: Annotated[str, _Doc(description="The same in the currency, as a decimal: `0.00000836`.")]
    currency: Annotated[str, _Doc(description="The setting `currency`.")]
    accepted_at_ms: int
    started_at_ms: int
    ended_at_ms: int
    node: str
    sandbox: str
    depth: Annotated[int, _Doc(description="Links of its chain of functions that triggered one another.")]
    parent_id: Annotated[str | None, _Doc(description="The invocation that this one follows from.")]
    root_id: Annotated[str | None, _Doc(description="The first invocation of its chain.")]
    object: Annotated[str | None, _Doc(description="What an upload was about, as `bucket/key`.")]
    final: bool
    dead: bool
    logs_cut: bool
    cpu_us: Annotated[
        int | None, _Doc(description="Processor time that it used, by the host's account; null where nobody tells.")
    ] = None


class Report(Attempt, frozen=True, kw_only=True):
    """The answer to a sync call. ``result`` is base64 text when ``result_is_base64``: the handler returned bytes."""

    result: Any
    result_is_base64: bool
    logs: tuple[Line, ...]
    report: Annotated[str, _Doc(description="The report line, as Lambda users know it.")]


class Accepted(msgspec.Struct, frozen=True):
    """The answer to an async call: the promise that it will run."""

    invocation_id: str
    status_url: Annotated[str, _Doc(description="The path of the control API that says what became of it.")]
    status: str = "accepted"


class Attempts(msgspec.Struct, frozen=True):
    """Records, newest first. ``next`` goes into ``before`` of the request for the next page; null on the last."""

    records: tuple[Attempt, ...]
    next: str | None


class InvocationState(msgspec.Struct, frozen=True, kw_only=True):
    """One invocation. ``result`` is there when it went well and its result is kept: async ones, for a set time.

    ``node`` and ``running_since_ms`` are of a running one; ``due_at_ms`` of one that is ``scheduled`` (delayed) or
    ``retrying``, and ``why`` of the latter. ``object`` is what an upload is about, as ``bucket/key``.
    ``parent_id``, ``root_id`` and ``depth`` are its place in a chain of functions that triggered one another.
    """

    invocation_id: str
    status: whereabouts.Place
    settled: bool
    attempts: Annotated[int, _Doc(description="Attempts that have begun.")]
    function: str | None = None
    revision: int | None = None
    trigger: str | None = None
    mode: model.Mode | None = None
    object: str | None = None
    depth: int = 0
    parent_id: str | None = None
    root_id: str | None = None
    node: str | None = None
    running_since_ms: int | None = None
    due_at_ms: int | None = None
    why: str | None = None
    result: Any = None
    result_is_base64: bool = False
    result_kept: bool = False
    records: tuple[Attempt, ...] = ()
    event: Annotated[
        Any, _Doc(description="Its event, while it is not settled and as long as it is a dead letter.")
    ] = msgspec.UNSET


class InvocationLine(msgspec.Struct, frozen=True):
    """One invocation of a list; ``attempts`` have begun."""

    invocation_id: str
    status: whereabouts.Place
    attempts: int
    accepted_at_ms: int


class InvocationList(msgspec.Struct, frozen=True):
    """Invocations, newest first."""

    invocations: tuple[InvocationLine, ...]


class Moved(msgspec.Struct, frozen=True):
    """What was done: ``cancelled``, ``due`` now, ``dropped``, or ``sending`` again."""

    invocation_id: str
    status: str


class DeadLetterLine(msgspec.Struct, frozen=True, kw_only=True):
    """An invocation that failed for good; ``retried_as`` is the one that its event was sent again as."""

    invocation_id: str
    function: str
    revision: int
    trigger: str
    status: model.Status
    attempts: int
    died_at_ms: int
    error: Failure | None
    retried_as: str | None


class DeadLetterList(msgspec.Struct, frozen=True):
    """Dead letters, newest first."""

    dead_letters: tuple[DeadLetterLine, ...]


class DeadLetter(DeadLetterLine, frozen=True, kw_only=True):
    """A dead letter with its event and the records of its attempts."""

    event: Any
    records: tuple[Attempt, ...]


class UndeliveredLine(msgspec.Struct, frozen=True, kw_only=True):
    """A record that could not be delivered to the destination of the function that ran."""

    invocation_id: str
    function: str
    revision: int
    condition: model.Condition
    destination: str
    attempts: Annotated[int, _Doc(description="How often it was sent.")]
    reason: str
    given_up_at_ms: int


class UndeliveredList(msgspec.Struct, frozen=True):
    """Undelivered records, newest first."""

    undelivered: tuple[UndeliveredLine, ...]


class Undelivered(UndeliveredLine, frozen=True, kw_only=True):
    """An undelivered record with the event of its invocation, and what the handler returned (null for bytes)."""

    event: Any
    result: Any


class Retried(msgspec.Struct, frozen=True):
    """The dead letter, and the invocation that its event was sent again as."""

    invocation_id: str
    retried_as: str


class Percentiles(msgspec.Struct, frozen=True, kw_only=True):
    """Nearest ranks, less than 1% away from the attempt that they name; 0 when there is none."""

    p50: float
    p90: float
    p95: float
    p99: float
    p999: Annotated[float, _Doc(description="Of a thousand attempts 999 took no longer.")]


class Ranks(msgspec.Struct, frozen=True, kw_only=True):
    """The same in whole units."""

    p50: int
    p90: int
    p95: int
    p99: int
    p999: int


class FunctionStats(msgspec.Struct, frozen=True, kw_only=True):
    """What the attempts of one function were like, or of another name that they were added up by."""

    function: str | None
    name: str
    count: int
    errors: Annotated[int, _Doc(description="Attempts that did not end `ok`.")]
    cold_starts: int
    billed_ms: int
    cost_pico: Annotated[int, _Doc(description="Exact, in pico-units: 10^-12 of the currency.")]
    duration_ms: Annotated[Percentiles, _Doc(description="Of attempts that ran.")]
    queue_ms: Percentiles
    init_ms: Annotated[Percentiles, _Doc(description="Of attempts that started cold.")]


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """The attempts that ended within `every_ms` from `at_ms` on."""

    at_ms: int
    count: int
    errors: int
    cold_starts: int
    billed_ms: int
    cost_pico: int
    duration_us: Ranks
    queue_ms: Ranks
    init_ms: Ranks


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """One name over time; pieces of time in which nothing ended have no point."""

    name: str
    points: tuple[Point, ...]


class StatsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Statistics of the attempts that ended in this time, which begins and ends on whole minutes, hours or days."""

    since_ms: int
    until_ms: int
    every_ms: Annotated[int | None, _Doc(description="Longer than asked for where shorter figures are kept no more.")]
    total: Annotated[int, _Doc(description="Names that there are; `functions` has the first `limit` of them.")]
    is_filling: Annotated[bool, _Doc(description="Whether records of before an upgrade are still being added.")]
    functions: tuple[FunctionStats, ...]
    series: tuple[Series, ...]


class Amount(msgspec.Struct, frozen=True, kw_only=True):
    """Attempts, and what they are billed."""

    count: int
    billed_count: Annotated[int, _Doc(description="Those whose handler ran: they are billed.")]
    billed_ms: int
    mb_ms: Annotated[int, _Doc(description="Billed milliseconds times the memory in MB, as far as that is known.")]
    cpu_us: Annotated[int, _Doc(description="Processor time, in microseconds.")]
    cost_pico: Annotated[int, _Doc(description="In pico-units: 10^-12 of the currency.")]
    cost_decimal: Annotated[str, _Doc(description="The same in the currency, as a decimal: `0.00000836`.")]
    there_pico: Annotated[
        int | None, _Doc(description="What it would have cost by `compared`, in pico-units of its currency.")
    ]
    there_decimal: Annotated[str | None, _Doc(description="The same in that currency, as a decimal.")]


class BillItem(Amount, frozen=True, kw_only=True):
    """One line of a bill; ``name`` is a function, a day (UTC), a trigger, the value of a tag, or all tags together.

    It is empty for what has no (such) tag. By root it is the id of the first invocation of a chain, which the other
    fields are about; ``is_cut`` says that the chain has more records than are added up.
    """

    name: str
    function: str | None = None
    trigger: str | None = None
    object: str | None = None
    ended_at_ms: int | None = None
    is_cut: bool = False


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """The list prices that a bill is compared with, what of them is counted, and what is left out.

    ``unknown`` are billed attempts that are not compared, since nobody knows the memory that they had.
    """

    title: str
    region: str
    architecture: str
    dated: str
    sources: tuple[str, ...]
    currency: str
    counts: tuple[str, ...]
    leaves_out: tuple[str, ...]
    unknown: int


class Bill(msgspec.Struct, frozen=True, kw_only=True):
    """A statement; its total is the sum of its lines. It counts whole days (UTC): from the start of the day that holds
    ``since_ms``, or from the first, to the end of the day before which ``until_ms`` lies, or to now.

    By root chains count whose first invocation ended in that time, to the millisecond; ``next`` leads to older ones.
    """

    by: str
    tag: str | None
    since_ms: int | None
    until_ms: int | None
    currency: str
    lines: tuple[BillItem, ...]
    total: Amount
    compared: Compared | None
    next: str | None


class BudgetState(msgspec.Struct, frozen=True, kw_only=True):
    """A budget in its period of now. ``function`` is `*` for that of all functions together.

    ``state`` is `under`, `reached` (it warned), `stopped` (it refuses calls), or `lifted` (somebody let it run on).
    """

    function: str
    per: model.Per
    then: model.Then
    period: Annotated[str, _Doc(description="The day or month, in UTC.")]
    until_ms: Annotated[int, _Doc(description="When it is over.")]
    amount_pico: int
    amount_decimal: str
    spent_pico: int
    spent_decimal: str
    state: str
    reached_at_ms: int | None


class BudgetList(msgspec.Struct, frozen=True, kw_only=True):
    """All budgets: that of all functions first, then those of functions by name."""

    currency: str
    budgets: tuple[BudgetState, ...]


class Lifted(msgspec.Struct, frozen=True):
    """The periods for whose rest a budget stops nothing."""

    function: str
    periods: tuple[str, ...]


class LogLines(msgspec.Struct, frozen=True, kw_only=True):
    """Log lines in order. ``next`` goes into ``after`` of the request for what follows; ``next_id`` is its first part.

    ``is_cut`` says that the time was up before all was looked at: up to the line ``reached_id``, printed at
    ``reached_ms``, it was. A search among the last lines goes on with that id as ``before``, another with ``next``.
    A line whose ``id`` is 0 has just been printed, and comes once more when it is recorded.
    """

    lines: tuple[logs.LogRow, ...]
    next_id: int
    next: str
    is_cut: bool = False
    reached_id: int | None = None
    reached_ms: int | None = None


class Function(msgspec.Struct, frozen=True, kw_only=True):
    """A function by its current revision."""

    name: str
    revision: int
    artifact: str
    created_at_ms: int
    config: model.FunctionConfig


class FunctionList(msgspec.Struct, frozen=True):
    """All functions, by name."""

    functions: tuple[Function, ...]


class RevisionSummary(msgspec.Struct, frozen=True):
    """One revision of a function's past or present."""

    number: int
    artifact: str
    created_at_ms: int
    current: bool


class Places(msgspec.Struct, frozen=True, kw_only=True):
    """Where the invocations of a function are. ``drift`` is always 0."""

    accepted: int = 0
    waiting: int = 0
    running: int = 0
    retrying: int = 0
    done: int = 0
    dead: int = 0
    drift: int = 0


class Description(Function, frozen=True, kw_only=True):
    """A function with its revisions and the places of its invocations."""

    revisions: tuple[RevisionSummary, ...]
    places: Places


class Removed(msgspec.Struct, frozen=True):
    """The function that is gone."""

    name: str


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A node whose lease holds. ``engine`` is what contains functions there: docker, or process (nothing)."""

    name: str
    host: str
    pid: int
    catalog: int
    memory_mb: int
    memory_used_mb: int
    engine: str
    sandboxes: dict[str, int]


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """How much there is of one kind, and how much was removed because its time had come.

    ``bytes`` are those of bodies, texts and files, and 0 where only the number is known.
    """

    count: int
    bytes: int
    freed: int
    freed_bytes: int


class Keeping(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept, by kind, and the database as it lies on the disk.

    ``database_free_bytes`` are part of ``database_bytes``: room that what was removed left, for what comes (SQLite).
    ``looked_at_ms`` is when all was last looked through for what is past its time, null before the first time.
    """

    kinds: dict[str, Kept]
    database_bytes: int
    database_free_bytes: int
    looked_at_ms: int | None


class PlatformStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Where everything is, at one instant."""

    version: str
    catalog: int
    drift: int
    functions: dict[str, Places]
    nodes: tuple[Node, ...]
    kept: Keeping
    budgets: Annotated[
        tuple[BudgetState, ...],
        _Doc(description="Those that are reached, with what was spent when they were."),
    ] = ()


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """An alarm as it stands: for one function, or for all that it is on (null).

    ``value`` is in millionths for a share, microseconds for a duration and pico-units for an amount; null for a fact,
    and where nothing can be said. ``text`` says it to people.
    """

    name: str
    function: str | None
    rule: str
    state: model.AlarmState
    since_ms: int
    value: float | None
    text: str
    silenced_until_ms: int | None
    notify: tuple[model.Notify, ...]


class AlarmList(msgspec.Struct, frozen=True):
    """Alarms, those that fire first; ``total`` counts all that fit.

    ``looked_at_ms`` is when they were last looked at, and ``fault`` what is wrong with `alarms.yaml`.
    """

    alarms: tuple[Alarm, ...]
    total: int
    looked_at_ms: int | None
    fault: str | None


class AlarmDescription(msgspec.Struct, frozen=True, kw_only=True):
    """An alarm as it was declared, in the block of a ``function``, of a ``project`` or of the ``platform``."""

    name: str
    kind: str
    rule: str
    revision: Annotated[int | None, _Doc(description="The revision of its function that it came with.")]
    declared_at_ms: int
    remind_ms: int
    notify: tuple[model.Notify, ...]
    standings: tuple[Alarm, ...]


class AlarmEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that came to pass, also an `alarm` of ``/api/v1/events``.

    ``was`` and ``became`` are equal when the alarm was silenced or not.
    """

    alarm: str
    function: str
    at_ms: int
    was: model.AlarmState
    became: model.AlarmState
    value: float | None
    text: str


class AlarmHistory(msgspec.Struct, frozen=True, kw_only=True):
    """What came to pass, newest first. ``next`` goes into ``before`` of the next request; null on the last page."""

    name: str
    events: tuple[AlarmEvent, ...]
    next: int | None


class AlarmSilence(msgspec.Struct, frozen=True, kw_only=True):
    """Until when an alarm (or its part of one function) tells nobody; null for not at all."""

    name: str
    function: str | None
    until_ms: int | None


class AlarmTest(msgspec.Struct, frozen=True, kw_only=True):
    """Where a test is on its way to."""

    name: str
    sent: tuple[model.Notify, ...]


class Health(msgspec.Struct, frozen=True):
    """The control API answers."""

    status: str = "ok"


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What was established of the platform. ``ok`` says that nothing failed and nothing is unknown."""

    ok: bool
    facts: tuple[facts.Fact, ...]


class Object(msgspec.Struct, frozen=True, kw_only=True):
    """One object of a bucket. ``version`` changes with its content, and ``etag`` with the version."""

    key: str
    size_bytes: int
    modified_ms: int
    etag: str
    version: str


class Bucket(msgspec.Struct, frozen=True, kw_only=True):
    """A bucket. ``path`` is its folder, null for one in the data directory.

    ``functions`` may use it, each as it says, and ``triggers`` are the functions that its uploads run.
    """

    name: str
    path: str | None
    functions: dict[str, model.Access]
    triggers: tuple[str, ...]


class BucketList(msgspec.Struct, frozen=True):
    """All buckets, by name."""

    buckets: tuple[Bucket, ...]


class ObjectList(msgspec.Struct, frozen=True, kw_only=True):
    """Objects in the order of keys. ``next``, unless null, goes into ``after`` of the request for what follows."""

    objects: tuple[Object, ...]
    next: str | None


class DeploymentId(msgspec.Struct, frozen=True):
    """The deployment that was queued."""

    id: str


class ErrorDetail(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong: ``code`` for programs, ``message`` and ``hint`` for people."""

    code: str
    message: str
    hint: str | msgspec.UnsetType = msgspec.UNSET
    invocation_id: str | msgspec.UnsetType = msgspec.UNSET


class ErrorBody(msgspec.Struct, frozen=True):
    """The one shape of every error body; ``error`` may name further things (function, limit, value)."""

    error: ErrorDetail


class BatchItem(msgspec.Struct, frozen=True):
    """What became of one event of a batch: ``accepted`` with its invocation, or ``refused`` with the error."""

    status: str
    invocation_id: str | None = None
    status_url: str | None = None
    error: ErrorDetail | None = None


class Batch(msgspec.Struct, frozen=True):
    """The outcomes of a batch, in the order of its events."""

    results: tuple[BatchItem, ...]


class Login(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The platform's token, or a code of ``/api/v1/login-codes``: one of the two."""

    token: str | None = None
    code: str | None = None


class LoginCode(msgspec.Struct, frozen=True):
    """A code that is good for one login, before ``expires_at_ms``."""

    code: str
    expires_at_ms: int


class Session(msgspec.Struct, frozen=True):
    """Until when a browser is logged in; null for who has the token."""

    expires_at_ms: int | None


class RecordEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A `record` of ``/api/v1/events``: the figures of an attempt that has just ended, without what it printed."""

    invocation_id: str
    attempt: int
    function: str
    revision: int
    trigger: str
    mode: model.Mode
    status: model.Status
    error: Failure | None
    cold_start: bool
    queue_ms: int
    init_ms: int
    duration_ms: float
    billed_ms: int
    cost_pico: int
    cost_decimal: str
    accepted_at_ms: int
    started_at_ms: int
    ended_at_ms: int
    parent_id: str | None
    root_id: str | None
    object: str | None
    final: bool
    dead: bool


class StatusEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A `status` of ``/api/v1/events``, each second: what is at work, and the nodes."""

    at_ms: int
    waiting: int
    running: int
    functions: Annotated[dict[str, Places], _Doc(description="Those that have work, 500 of them at most.")]
    nodes: tuple[Node, ...]


class RevisionSide(msgspec.Struct, frozen=True):
    """One of two revisions that are compared."""

    number: int
    artifact: str
    created_at_ms: int


class ConfigChange(msgspec.Struct, frozen=True):
    """A value of the configuration, by its dotted name; null where it is not set."""

    name: str
    before: Any
    after: Any


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """What differs between two revisions. Bytecode is left out; ``is_cut`` says that more files differ."""

    function: str
    before: RevisionSide
    after: RevisionSide
    config: tuple[ConfigChange, ...]
    files: tuple[comparing.FileChange, ...]
    is_cut: bool


class OverviewRow(msgspec.Struct, frozen=True, kw_only=True):
    """One function: its attempts of the time, and what it has at work now. Null while Redis is away."""

    name: str
    revision: int
    count: int
    errors: int
    cold_starts: int
    cost_pico: int
    p50_us: int
    p99_us: int
    waiting: int | None
    running: int | None
    alarms: Annotated[int, _Doc(description="Its alarms that are firing.")]
    spark: Annotated[tuple[int, ...], _Doc(description="Attempts in each piece of `every_ms`, the oldest first.")]


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """Functions with their figures. ``total`` are those that fit the search, on this page or not."""

    total: int
    since_ms: int
    until_ms: int
    every_ms: int
    functions: tuple[OverviewRow, ...]
