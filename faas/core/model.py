"""The words of the platform as frozen structs: functions, revisions, triggers, invocations, records.

No I/O happens here. Durations are whole milliseconds (``_ms``) or microseconds (``_us``), sizes are mebibytes (``_mb``)
or bytes, moments are Unix milliseconds (``_at_ms``), money is whole micro-units of the price table's currency.

The life of an invocation::

    accepted ──► waiting ──claim──► running ──finish──► done | dead
        │           ▲                 │ │
        │           └────release──────┘ └──finish──► retrying ──due──► waiting
        └──hand-off──► running
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from typing import Annotated, Any

import msgspec

from faas.core.objects import globs


class Status(enum.StrEnum):
    """How an attempt ended, as its record says it."""

    OK = "ok"
    ERROR = "error"
    TIMEOUT = "timeout"
    OOM = "oom"
    INIT_ERROR = "init_error"
    LOST = "lost"
    REJECTED = "rejected"


class ColdStart(enum.StrEnum):
    """What an attempt had to wait for: nothing, user code in a prewarmed sandbox, or a sandbox made from nothing."""

    NONE = "none"
    PREWARMED = "prewarmed"
    FULL = "full"


class Network(enum.StrEnum):
    """What a sandbox can reach: nothing, or whatever the host can reach."""

    NONE = "none"
    OUTBOUND = "outbound"


class Access(enum.StrEnum):
    """What a function may do with a bucket. ``write`` includes reading."""

    READ = "read"
    WRITE = "write"


class OnMissed(enum.StrEnum):
    """What a timer does about due times that passed while no scheduler ran."""

    SKIP = "skip"
    ONCE = "once"
    ALL = "all"


class Overlap(enum.StrEnum):
    """What a timer does at a due time while its last run has not ended.

    ``queue`` lets the new one wait like any other, ``skip`` leaves it out, ``replace`` takes back what waits.
    """

    QUEUE = "queue"
    SKIP = "skip"
    REPLACE = "replace"


class Existing(enum.StrEnum):
    """What a new upload trigger does about the objects that are in its bucket already."""

    SKIP = "skip"
    RUN = "run"


class Mode(enum.StrEnum):
    """Whether a caller waits for the answer (``sync``) or got a 202 (``async``). They wait in separate streams."""

    SYNC = "sync"
    ASYNC = "async"


class Per(enum.StrEnum):
    """What a budget is for: one UTC day, or one UTC month."""

    DAY = "day"
    MONTH = "month"


class Then(enum.StrEnum):
    """What follows when a budget is reached: a warning, or that nothing runs for the rest of its period."""

    WARN = "warn"
    STOP = "stop"


class CostBudget(msgspec.Struct, frozen=True, kw_only=True):
    """What a function, or all of them, may cost in a period."""

    amount_pico: int
    per: Per = Per.MONTH
    then: Then = Then.WARN


class Retries(msgspec.Struct, frozen=True, kw_only=True):
    """When a failed attempt is followed by another. The names are those of Lambda's asynchronous invocation.

    ``backoff_ms`` bounds the wait before the second attempt; the bound doubles with each further one. ``on`` names the
    outcomes that are tried again; ``lost`` always is, ``rejected`` never.
    """

    maximum_retry_attempts: int = 2
    maximum_event_age_ms: int = 21_600_000
    backoff_ms: int = 1_000
    on: tuple[Status, ...] = (Status.ERROR, Status.TIMEOUT, Status.OOM, Status.INIT_ERROR)


class Cors(msgspec.Struct, frozen=True, kw_only=True):
    """What pages of other origins may do on a route: the gateway tells browsers, and answers what they ask before.

    ``origins`` are those of `faas.core.manifest.patterns.origin_fault`; no methods means those of the route, and no
    headers any that a page wants to send. ``expose`` are header fields of answers that pages may read. ``max_age_s`` is
    how long a browser need not ask again; None leaves that to it.
    """

    origins: tuple[str, ...]
    methods: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    expose: tuple[str, ...] = ()
    credentials: bool = False
    max_age_s: int | None = None


class HttpTrigger(msgspec.Struct, frozen=True, kw_only=True, tag="http", tag_field="kind"):
    """A route of the gateway. ``path`` may hold ``{name}`` segments, and ``{name+}`` at its end for all that follow.

    No methods means every method.

    ``retries`` of a trigger stand in place of the function's. ``max_delay_ms`` is how long callers may ask an async
    call to wait; they may not at all, when it is 0.
    """

    path: str
    methods: tuple[str, ...] = ()
    retries: Retries | None = None
    max_delay_ms: int = 0
    cors: Cors | None = None


class TimerTrigger(msgspec.Struct, frozen=True, kw_only=True, tag="timer", tag_field="kind"):
    """Due times: a cron line (5 fields, or 6 with seconds first) in an IANA time zone, or every ``every_ms``.

    ``input`` is any JSON value, which then is the event; None is no input, and ``is_input_null`` says that the value is
    null. (`msgspec.Raw | None` cannot be decoded.) ``on_overlap`` says what ``overlap`` is by default.
    """

    cron: str | None = None
    every_ms: int | None = None
    timezone: str = "UTC"
    on_missed: OnMissed = OnMissed.SKIP
    input: Any = None
    retries: Retries | None = None
    overlap: Overlap | None = None
    is_input_null: bool = False

    @property
    def on_overlap(self) -> Overlap:
        """What is done at a due time while the last run has not ended. Whoever wants all of the missed wants all."""
        wants_each = self.every_ms is None or self.on_missed is OnMissed.ALL
        return self.overlap or (Overlap.QUEUE if wants_each else Overlap.SKIP)


class UploadTrigger(msgspec.Struct, frozen=True, kw_only=True, tag="upload", tag_field="kind"):
    """Objects of a bucket whose key starts with ``prefix`` and ends with one of ``suffix`` (any, when empty).

    ``ignore`` are patterns of keys (`faas.core.objects.globs`) that are left alone, besides those of `UNFINISHED`.
    """

    bucket: str
    prefix: str = ""
    suffix: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    existing: Existing = Existing.SKIP
    retries: Retries | None = None

    def concerns(self, key: str) -> bool:
        """Whether an object of this key is one of them."""
        fits = key.startswith(self.prefix) and (not self.suffix or key.endswith(self.suffix))
        return fits and not globs.taken((*UNFINISHED, *self.ignore)).takes(key)


UNFINISHED = (
    "*~", "*.tmp", "*.temp", "*.part", "*.partial", "*.filepart", "*.crdownload", "*.opdownload", "*.download",
    "*.incomplete", "*.inprogress", "*.aria2", "*.!qb", "*.!ut", "*.!sync", "*.lftp-pget-status", "*.gdownload",
    "*.fdmdownload", "*.dtapart", "*.part-frag*", "*.ytdl", "*.xltd", "*.downloading", "*.!bt", "*.bc!", "*_.gstmp",
    "*.sw[nopx]", "#*#", "~$*", "*.sb-????????-??????", "*___jb_tmp___", "*___jb_old___", "thumbs.db", "desktop.ini",
    "*:zone.identifier", "@eadir/", "#recycle/", "$recycle.bin/", "system volume information/", "lost+found/",
    "__macosx/",
)  # fmt: skip
"""Patterns of what no upload trigger wants: what editors, browsers and programs that copy call a file that is not
finished, and what file managers, Windows, macOS and network storages leave behind. Names that start with a dot are no
keys at all, which covers rsync, Dropbox, Syncthing, lftp, ProFTPD and iCloud."""


Trigger = HttpTrigger | TimerTrigger | UploadTrigger


class ToFunction(msgspec.Struct, frozen=True, kw_only=True, tag="function", tag_field="kind"):
    """A destination that is a function: its current revision runs on the record."""

    function: str


class ToBucket(msgspec.Struct, frozen=True, kw_only=True, tag="bucket", tag_field="kind"):
    """A destination that is a bucket: the record becomes the object ``<prefix><function>/<invocation id>.json``."""

    bucket: str
    prefix: str = ""


class ToUrl(msgspec.Struct, frozen=True, kw_only=True, tag="url", tag_field="kind"):
    """A destination that is a URL: the record is POSTed, signed with what the environment variable ``secret`` holds.

    Without ``secret`` it is signed with the setting ``destination_secret``.
    """

    url: str
    secret: str | None = None


Destination = ToFunction | ToBucket | ToUrl


class Condition(enum.StrEnum):
    """Why an async invocation was settled, as records for destinations say it. All but the last are Lambda's words."""

    SUCCESS = "Success"
    RETRIES_EXHAUSTED = "RetriesExhausted"
    EVENT_AGE_EXCEEDED = "EventAgeExceeded"
    CHAIN_TOO_DEEP = "ChainTooDeep"


class Style(enum.StrEnum):
    """Whose handlers a function's handler is one of: Lambda's, Function Compute's, or what it shows by itself."""

    AUTO = "auto"
    LAMBDA = "lambda"
    FC = "fc"


class FunctionConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about a revision that is not code. Two revisions with equal configuration and code are one."""

    runtime: str
    handler: str
    memory_mb: int = 256
    cpu_milli: int = 1000
    timeout_ms: int = 30_000
    env: dict[str, str] = {}
    network: Network = Network.NONE
    buckets: dict[str, Access] = {}
    max_concurrency: int = 100
    prewarm: int = 0
    triggers: tuple[Trigger, ...] = ()
    retries: Retries = Retries()
    idempotent: bool = False
    on_success: Destination | None = None
    on_failure: Destination | None = None
    background: bool = False
    style: Style = Style.AUTO
    initializer: str | None = None
    pre_stop: str | None = None
    tags: dict[str, str] = {}
    budget: CostBudget | None = None
    keep: dict[str, int] = {}
    """For how long kinds of what ended are kept (ms, 0 is for ever), by the words of `faas.core.keeping`."""

    @property
    def max_delay_ms(self) -> int:
        """How long callers may ask a call to wait by the function's name: as long as by any of its routes."""
        return max((each.max_delay_ms for each in self.triggers if isinstance(each, HttpTrigger)), default=0)

    def destination(self, condition: Condition) -> Destination | None:
        """Where the record of an async invocation goes that was settled so."""
        return self.on_success if condition is Condition.SUCCESS else self.on_failure


class Revision(msgspec.Struct, frozen=True, kw_only=True):
    """An immutable pair of code artifact (the SHA-256 of its bundle) and configuration."""

    function: str
    number: int
    artifact: str
    config: FunctionConfig
    created_at_ms: int

    @property
    def ref(self) -> str:
        """The revision's name everywhere: ``function@number``."""
        return f"{self.function}@{self.number}"


class Bucket(msgspec.Struct, frozen=True, kw_only=True):
    """A folder whose files functions read and write. ``path`` is absolute; None is a folder of the data directory."""

    name: str
    path: str | None = None


class FunctionSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A function as a manifest declares it. ``source`` is a folder and ``requirements`` a file inside it."""

    name: str
    source: str
    requirements: str | None = None
    config: FunctionConfig


class ToLog(msgspec.Struct, frozen=True, kw_only=True, tag="log", tag_field="kind"):
    """Where an alarm is told that tells nobody in particular: a line of the scheduler's log."""


Notify = ToFunction | ToBucket | ToUrl | ToLog


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """A rule (`faas.core.alarms.rules`) that is looked at every few seconds, and who is told when it comes to hold.

    It is on one ``function``; or on ``functions``, those of its manifest, empty for all of the platform: on ``each`` by
    itself, or on all together. One of a function's own block is called ``function.name`` and has no ``functions``.
    ``remind_ms`` is after how long it is told again while it lasts; 0 is never.
    """

    name: str
    rule: str
    function: str | None = None
    functions: tuple[str, ...] = ()
    each: bool = False
    notify: tuple[Notify, ...] = (ToLog(),)
    remind_ms: int = 0


class AlarmState(enum.StrEnum):
    """Where an alarm is; `faas.alerts.states` says what leads where."""

    OK = "ok"
    PENDING = "pending"
    FIRING = "firing"
    RESOLVED = "resolved"
    NO_DATA = "no_data"


class Project(msgspec.Struct, frozen=True, kw_only=True):
    """One manifest: what `faas deploy` takes. ``alarms`` are its own and those of its functions."""

    functions: tuple[FunctionSpec, ...]
    buckets: tuple[Bucket, ...] = ()
    alarms: tuple[Alarm, ...] = ()


class TraceContext(msgspec.Struct, frozen=True, array_like=True):
    """The trace context that a caller brought: a valid ``traceparent`` of version 00, and ``tracestate`` ('' for none).

    See `faas.core.calls.tracing`.
    """

    parent: str
    state: str = ""


class Invocation(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One accepted request to run a revision on an event.

    ``event`` is JSON, ready for the handler. ``trigger`` is ``http``, ``timer``, ``upload``, ``destination`` or
    ``invoke`` (API, CLI), and ``trigger_place`` is its place among the revision's triggers, when it is one of them.
    ``reply_to`` is the reply stream of the process that awaits the outcome. ``depth`` counts the links of a chain of
    functions that triggered one another; ``parent_id`` is the invocation that this one follows from, and ``root_id``
    the first of the chain, both None for the first. ``caller`` is the address that a request came from, as far as
    shares are counted by it; None for what the platform or the owner of its token asked. ``object`` is what an upload
    is about, as ``bucket/key``. ``trace`` is what the caller of the chain brought, its parent being whatever this
    invocation follows from; None when nobody brought any.

    It is an array in Redis: new fields go to the end and have defaults, so that what an older platform left is read.
    """

    id: str
    function: str
    revision: int
    trigger: str
    mode: Mode
    event: bytes
    accepted_at_ms: int
    attempt: int = 1
    depth: int = 0
    reply_to: str | None = None
    client_context: str | None = None
    parent_id: str | None = None
    root_id: str | None = None
    trigger_place: int | None = None
    caller: str | None = None
    object: str | None = None
    trace: TraceContext | None = None

    @property
    def chain_id(self) -> str:
        """The first invocation of its chain: itself, when it follows from no other."""
        return self.root_id or self.id

    @property
    def ref(self) -> str:
        """The revision to run: ``function@number``."""
        return f"{self.function}@{self.revision}"


class LogLine(msgspec.Struct, frozen=True, array_like=True):
    """One line that an attempt printed, and when the runner read it. Of very many short ones several are together."""

    at_ms: int
    text: str


def each_line(logs: Iterable[LogLine]) -> Iterator[LogLine]:
    """What was printed, with every line by itself."""
    for line in logs:
        if "\n" not in line.text:
            yield line
        else:
            for text in line.text.split("\n"):
                yield LogLine(line.at_ms, text)


class Printed(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What a sandbox printed after an attempt of its had ended: threads and child processes may go on.

    Of one that had no attempt, ``invocation_id`` is the sandbox's own id and ``attempt`` 0.
    """

    function: str
    revision: int
    invocation_id: str
    attempt: int
    lines: tuple[LogLine, ...]


class Failure(msgspec.Struct, frozen=True, array_like=True):
    """Why an attempt failed, in the shape that Lambda users know. ``stack`` holds the user's own frames only."""

    type: str
    message: str
    stack: tuple[str, ...] = ()


class ColdStartStep(msgspec.Struct, frozen=True, array_like=True):
    """One part of what a cold start took: what was waited for, and for how long."""

    name: str
    ms: int


class Record(msgspec.Struct, frozen=True, array_like=True):
    """What one attempt leaves behind. The ledger is all records; (invocation_id, attempt) is unique.

    ``queue_ms`` and ``init_ms`` never overlap: together they are what passed from acceptance to the handler's start.
    ``cost_pico`` is the exact cost in 10^-12 of the currency, which sums add up; ``cost_micro`` is it rounded to 10^-6.
    ``final`` says that the invocation is settled by this attempt, ``dead`` that it failed for good with nobody waiting.
    ``object`` and ``trace`` are those of its invocation. ``cpu_us`` is the processor time that its sandbox used during
    the attempt, by the account of the host's kernel; None where nobody tells. ``steps`` say what ``init_ms`` was spent
    on, in order, and add up to it; what took less than a millisecond is not there.
    """

    invocation_id: str
    attempt: int
    function: str
    revision: int
    trigger: str
    mode: Mode
    status: Status
    accepted_at_ms: int
    started_at_ms: int
    ended_at_ms: int
    queue_ms: int
    init_ms: int
    duration_us: int
    billed_ms: int
    memory_limit_mb: int
    memory_peak_mb: int
    cold_start: ColdStart
    cost_micro: int
    node: str
    sandbox: str
    depth: int = 0
    final: bool = True
    dead: bool = False
    error: Failure | None = None
    logs: tuple[LogLine, ...] = ()
    logs_cut: bool = False
    # From here on as they came: an array in the ledger, in journals and in Redis is read by places, so what is new is
    # last.
    cost_pico: int = 0
    parent_id: str | None = None
    root_id: str | None = None
    object: str | None = None
    cpu_us: int | None = None
    steps: tuple[ColdStartStep, ...] = ()
    trace: TraceContext | None = None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What the caller of an invocation gets: its record's figures, and the handler's result.

    ``body`` is JSON, or raw bytes when ``is_bytes``. Logs travel only to callers that ask (``faas invoke``).
    """

    record: Record
    body: bytes = b"null"
    is_bytes: bool = False


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """Where the invocations of one revision (or function) are, at one instant."""

    accepted: Annotated[int, msgspec.Meta(ge=0)] = 0
    waiting: int = 0
    running: int = 0
    retrying: int = 0
    done: int = 0
    dead: int = 0

    @property
    def drift(self) -> int:
        """Invocations accepted and in no place (positive) or in two (negative). Always 0."""
        return self.accepted - self.waiting - self.running - self.retrying - self.done - self.dead
