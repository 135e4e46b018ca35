"""The table of settings: every default and every bound, in the groups that the rooms take.

A setting has one flat name in `faas.toml`, in the environment, as a flag and in the code: no two groups have a field of
the same name. `docs/reference/settings.md` is generated from this table.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import msgspec

_Doc = msgspec.Meta
_MOST_NODES = 8


class Data(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the platform keeps what outlives its processes: the data directory, the ledger, the buckets."""

    data_dir: Annotated[str, _Doc(description="Folder of everything the platform keeps.")] = "~/.faas"
    database_url: Annotated[
        str, _Doc(description="URL of a PostgreSQL, or of a SQLite file; empty is `ledger.db` in the data directory.")
    ] = ""
    bucket_roots: Annotated[
        str,
        _Doc(
            description="Folders below which the `path` of a bucket may be, besides the data directory's own `buckets`;"
            " a colon between two.",
            pattern="^([~/][^:]*(:[~/][^:]*)*)?$",
        ),
    ] = ""

    @property
    def root(self) -> Path:
        """The data directory, absolute."""
        return Path(self.data_dir).expanduser().absolute()

    @property
    def journals(self) -> Path:
        """Where the nodes of this machine keep their journals."""
        return self.root / "journals"


class Listening(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The ports of the gateway and of the control API, and how long and how much they bear of their clients."""

    host: Annotated[str, _Doc(description="Address that the gateway and the control API listen on.")] = "127.0.0.1"
    port: Annotated[int, _Doc(description="Port of the gateway; 0 takes any free one.", ge=0, le=65535)] = 8080
    api_port: Annotated[
        int,
        _Doc(
            description="Port of the control API; 0 takes any free one, and so does 8081 where that is taken.",
            ge=0,
            le=65535,
        ),
    ] = 8081
    host_names: Annotated[
        str,
        _Doc(
            description="Names, with commas between them, by which requests may name the gateway (421 else; empty takes"
            " any) and, beside addresses and names without a dot, the control API. `*.example.com` stands for all below"
            " it.",
        ),
    ] = ""
    trusted_proxies: Annotated[
        str,
        _Doc(
            description="Addresses and networks, with commas between them, of proxies that the gateway believes: what"
            " `X-Forwarded-For`, `-Proto`, `-Port` and `-Host`, or `Forwarded`, say of a request is taken from them"
            " alone.",
            pattern="^[0-9A-Fa-f:./, ]*$",
        ),
    ] = ""
    max_connections: Annotated[
        int, _Doc(description="Open connections of one gateway (never over half of its file descriptors).", ge=1)
    ] = 4_096
    max_connection_bytes: Annotated[
        int,
        _Doc(
            description="Bytes that one gateway (or control API) may hold of requests that have not come whole and of"
            " answers that have not been read; then whoever keeps it waiting for the longest is cut.",
            ge=1_048_576,
        ),
    ] = 268_435_456
    receive_timeout_ms: Annotated[
        int,
        _Doc(
            description="How long a client may take to send the head of a request, and its body, and to read an answer"
            " (and a second more for each 8 KiB of it that are still to be read, unless it reads nothing at all).",
            ge=1,
        ),
    ] = 30_000
    keep_alive_ms: Annotated[int, _Doc(description="How long a gateway keeps an idle connection open.", ge=1)] = 75_000


class Redis(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The server that holds what waits and runs, and its part of ours."""

    redis_url: Annotated[
        str, _Doc(description="Redis or Valkey to use (rediss:// for TLS); empty starts the embedded one.")
    ] = ""
    redis_server: Annotated[
        str, _Doc(description="Program of the embedded server; empty is the pinned one that comes with the platform.")
    ] = ""
    redis_prefix: Annotated[
        str, _Doc(description="First part of every Redis key.", pattern="^[A-Za-z0-9_.:{}-]{1,100}$")
    ] = "faas"
    redis_memory_mb: Annotated[int, _Doc(description="Memory that the embedded server may use.", ge=64)] = 2_048
    durability: Annotated[
        str,
        _Doc(
            description="standard, or strict: an async call's 202 waits until it is on Redis's disk.",
            pattern="^(standard|strict)$",
        ),
    ] = "standard"

    @property
    def is_strict(self) -> bool:
        """Whether an async call is accepted only when it is on Redis's disk."""
        return self.durability == "strict"


class Queues(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much may wait, how long, and how much may be on its way to the ledger."""

    max_waiting: Annotated[int, _Doc(description="Sync (and async) invocations that may wait per revision.", ge=1)] = (
        10_000
    )
    max_waiting_async: Annotated[int, _Doc(description="Async invocations that may wait per revision.", ge=1)] = (
        1_000_000
    )
    max_waiting_total: Annotated[
        int, _Doc(description="Invocations that may wait, for a slot or until they are due, or run.", ge=1)
    ] = 2_000_000
    max_waiting_bytes: Annotated[
        int, _Doc(description="Bytes that these may have; at most half of what Redis may use.", ge=1)
    ] = 536_870_912
    max_queue_wait_ms: Annotated[int, _Doc(description="How long a sync call may wait for a slot.", ge=1)] = 60_000
    max_unrecorded_bytes: Annotated[
        int,
        _Doc(
            description="Bytes of records that may wait for the ledger before new work is refused; at most a quarter of"
            " what Redis may use. A function has no more of them than it leaves free.",
            ge=1,
        ),
    ] = 268_435_456


class Results(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long and how many results of async calls are kept, and the answers of idempotency keys."""

    keep_results_ms: Annotated[int, _Doc(description="How long the result of an async call is kept.", ge=1)] = 600_000
    max_kept_results: Annotated[int, _Doc(description="Most results of async calls that are kept.", ge=0)] = 100_000
    max_kept_result_bytes: Annotated[int, _Doc(description="Largest result of an async call that is kept.", ge=0)] = (
        65_536
    )
    max_kept_bytes: Annotated[
        int, _Doc(description="Bytes that they may have together; then the oldest is dropped.", ge=0)
    ] = 134_217_728
    keep_answers_ms: Annotated[int, _Doc(description="How long an idempotency key gives the same answer.", ge=1)] = (
        86_400_000
    )
    max_answers_bytes: Annotated[
        int,
        _Doc(description="Bytes that idempotency keys and their answers may have; then new keys are refused.", ge=0),
    ] = 268_435_456


class Runners(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The nodes of this machine, and what each may hold."""

    nodes: Annotated[
        int,
        _Doc(description="Node processes on this machine; 0 is one, and from 4 processors on several.", ge=0, le=256),
    ] = 0
    hand_off: Annotated[bool, _Doc(description="Give sync calls at once to a free slot of the same node.")] = True
    memory_mb: Annotated[
        int,
        _Doc(
            description="Memory that a node shares out; 0 is its part of 80% of the machine's. All nodes of a machine"
            " together never promise more than it has.",
            ge=0,
        ),
    ] = 0
    grace_ms: Annotated[int, _Doc(description="What a stopping node gives running attempts.", ge=0)] = 30_000
    max_line_bytes: Annotated[
        int, _Doc(description="Bytes of events of sync calls that may wait in a node's memory for a slot.", ge=1)
    ] = 134_217_728
    max_journal_bytes: Annotated[
        int,
        _Doc(
            description="Bytes of a node's journal that may wait for Redis; past that nothing is handed off.",
            ge=1_048_576,
        ),
    ] = 268_435_456

    @property
    def node_count(self) -> int:
        """How many nodes share this machine: what ``nodes`` says, or as many as its processors are worth.

        A node is bound to one processor, and its functions, the recorder and Redis want as much again.
        """
        return self.nodes or max(1, min((os.cpu_count() or 1) // 2, _MOST_NODES))


class Leases(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often whoever has claims says that it lives, and when it counts as dead."""

    heartbeat_ms: Annotated[int, _Doc(description="How often a node renews its lease.", ge=100)] = 2_000
    lease_ms: Annotated[int, _Doc(description="After how long without renewal a node counts as dead.", ge=500)] = 8_000


class Sandboxes(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What contains user code, what a sandbox gets and may do, and how long an idle one is kept."""

    engine: Annotated[
        str,
        _Doc(
            description="docker, process, or auto: what was chosen at the first start of the data directory.",
            pattern="^(auto|docker|process)$",
        ),
    ] = "auto"
    base_image: Annotated[str, _Doc(description="Image of the sandboxes; empty finds, pulls or builds one.")] = ""
    sandbox_runtime: Annotated[
        str,
        _Doc(description="Runtime of the containers by its name in the engine (runsc, kata); empty is its default."),
    ] = ""
    sandbox_uids: Annotated[
        str,
        _Doc(
            description="Users that the sandboxes run as, one each, that nobody else of the machine may have; empty is"
            " 2000000000-2000065535, or 10000-59999 where the engine maps users.",
            pattern="^([0-9]{1,10}-[0-9]{1,10})?$",
        ),
    ] = ""
    region: Annotated[str, _Doc(description="AWS_REGION of the sandboxes.")] = "local"
    max_event_bytes: Annotated[int, _Doc(description="Largest event of an invocation.", ge=1)] = 6_291_556
    max_result_bytes: Annotated[int, _Doc(description="Largest result of a handler.", ge=1)] = 6_291_556
    max_log_bytes: Annotated[int, _Doc(description="Log bytes kept of one attempt.", ge=0)] = 262_144
    tmp_mb: Annotated[int, _Doc(description="Largest size of /tmp in a sandbox; it is part of the memory.", ge=1)] = 512
    max_pids: Annotated[int, _Doc(description="Processes and threads of a sandbox.", ge=8)] = 256
    max_file_mb: Annotated[int, _Doc(description="Largest file that a sandbox may write.", ge=1)] = 2_048
    init_timeout_ms: Annotated[int, _Doc(description="Longest import of a handler (its timeout, if longer).", ge=1)] = (
        10_000
    )
    stock_none: Annotated[
        int, _Doc(description="Prewarmed sandboxes of each language in use held ready with no network.", ge=0)
    ] = 1
    stock_outbound: Annotated[
        int, _Doc(description="Prewarmed sandboxes of each language in use held ready with network.", ge=0)
    ] = 0
    stock_memory_mb: Annotated[int, _Doc(description="Memory limit of a prewarmed sandbox.", ge=32)] = 128
    keep_min_ms: Annotated[int, _Doc(description="Shortest time that an idle sandbox is kept.", ge=0)] = 60_000
    keep_max_ms: Annotated[int, _Doc(description="Longest time that an idle sandbox is kept.", ge=0)] = 900_000


class Building(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a deploy may send, what its builds may make, and where and how long they run."""

    max_source_bytes: Annotated[int, _Doc(description="Largest source that a deploy uploads.", ge=1)] = 268_435_456
    max_source_files: Annotated[int, _Doc(description="Most files in a function's source.", ge=1)] = 50_000
    max_artifact_bytes: Annotated[int, _Doc(description="Largest unpacked artifact.", ge=1)] = 1_073_741_824
    max_artifact_files: Annotated[int, _Doc(description="Most files in an artifact, requirements included.", ge=1)] = (
        100_000
    )
    build_timeout_s: Annotated[int, _Doc(description="Longest build of one function.", ge=1)] = 600
    build_place: Annotated[
        str,
        _Doc(
            description="Where packages are installed: container, process, or auto: a container if Docker is used.",
            pattern="^(auto|container|process)$",
        ),
    ] = "auto"
    build_network: Annotated[
        str,
        _Doc(
            description="Docker network of the containers that install packages; empty is `bridge`, or `host` where"
            " the engine has no bridge."
        ),
    ] = ""
    load_timeout_ms: Annotated[int, _Doc(description="How long a deploy waits for a function to load.", ge=1)] = 60_000


class Destinations(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How records and messages are sent to where they are to go."""

    destination_secret: Annotated[
        str, _Doc(description="What signs records for URLs when their function names no secret of its own.")
    ] = ""
    destination_timeout_ms: Annotated[int, _Doc(description="How long the receiver of a record may take.", ge=1)] = (
        10_000
    )
    destination_backoff_ms: Annotated[
        int, _Doc(description="Longest wait before a record is sent again; it doubles each time, up to 5 min.", ge=1)
    ] = 1_000
    destination_max_attempts: Annotated[int, _Doc(description="How often a record is sent at most.", ge=1)] = 20
    destination_max_age_ms: Annotated[int, _Doc(description="Past this age a record is not sent again.", ge=1)] = (
        21_600_000
    )


class Retention(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """For how long what has ended is kept, and how much of it."""

    keep_records_days: Annotated[
        int, _Doc(description="Days that records are kept; 0 is for ever. Bills and totals outlive them.", ge=0)
    ] = 30
    keep_minutes_days: Annotated[
        int, _Doc(description="Days that figures by the minute are kept; 0 is for ever.", ge=0)
    ] = 3
    keep_hours_days: Annotated[
        int, _Doc(description="Days that figures by the hour are kept; 0 is for ever. Those by the day stay.", ge=0)
    ] = 90
    keep_logs_days: Annotated[int, _Doc(description="Days that log lines are kept; 0 is for ever.", ge=0)] = 14
    keep_logs_mb: Annotated[
        int, _Doc(description="MiB of log lines that are kept, the newest; 0 is without a bound.", ge=0)
    ] = 1_024
    keep_dead_letters_days: Annotated[
        int, _Doc(description="Days that dead letters and undelivered records are kept; 0 is for ever.", ge=0)
    ] = 90
    keep_revisions: Annotated[
        int, _Doc(description="Revisions of a function that are kept whatever their age; 0 is all of them.", ge=0)
    ] = 10
    keep_revisions_days: Annotated[
        int, _Doc(description="Days that a revision is kept from when it was replaced; 0 is for ever.", ge=0)
    ] = 30
    retention_interval_s: Annotated[
        int, _Doc(description="How often what is past its time is looked for and removed.", ge=1)
    ] = 600


class Watching(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often alarms are looked at, and how long what came to pass with them is kept."""

    alarm_interval_s: Annotated[int, _Doc(description="How often all alarms are looked at.", ge=1, le=3_600)] = 15
    keep_alarm_history_days: Annotated[
        int, _Doc(description="Days that the history of alarms is kept; 0 is for ever.", ge=0)
    ] = 90


class PlatformLogs(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How large the logs of the platform's own processes become."""

    keep_platform_log_mb: Annotated[
        int, _Doc(description="MiB of a process's log before it is set aside as `.1`; 0 is without a bound.", ge=0)
    ] = 10
    max_function_log_kb: Annotated[
        int,
        _Doc(
            description="KiB a minute that one function may add to the log of a process of the platform; 0 is without"
            " a bound.",
            ge=0,
        ),
    ] = 64


class Prices(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What statements count with."""

    price_gb_s_micro: Annotated[int, _Doc(description="Price of a GB-second, in millionths of a micro-unit.", ge=0)] = (
        16_666_700
    )
    price_request_nano: Annotated[int, _Doc(description="Price of an invocation, in nano-units.", ge=0)] = 200
    currency: Annotated[str, _Doc(description="Name of the currency on statements.")] = "USD"
    price_cpu_s_micro: Annotated[
        int, _Doc(description="Price of a second of processor time, in millionths of a micro-unit.", ge=0)
    ] = 0


class Budgets(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all functions together may cost."""

    budget_amount: Annotated[
        str,
        _Doc(
            description="What all functions together may cost in a day or month, in the currency; empty is no bound.",
            pattern=r"^([0-9]{1,6}(\.[0-9]{1,9})?)?$",
        ),
    ] = ""
    budget_per: Annotated[str, _Doc(description="What that is for: day, or month (UTC).", pattern="^(day|month)$")] = (
        "month"
    )
    budget_then: Annotated[
        str,
        _Doc(
            description="What follows when it is reached: warn, or stop, which refuses calls until the period is over.",
            pattern="^(warn|stop)$",
        ),
    ] = "warn"


class Telemetry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What other tools are told: spans for tracing tools, figures for Prometheus."""

    otlp_endpoint: Annotated[
        str,
        _Doc(
            description="URL of an OpenTelemetry collector (OTLP over HTTP, most often port 4318) that spans are sent"
            " to; empty is none.",
            pattern="^(https?://.+)?$",
        ),
    ] = ""
    otlp_headers: Annotated[
        str,
        _Doc(
            description="Header fields of these requests, `name=value` with commas between them; values are"
            " percent-encoded.",
        ),
    ] = ""
    metrics_functions: Annotated[
        int,
        _Doc(
            description="Functions that have figures of their own in `/metrics`; those of all others are added up.",
            ge=0,
        ),
    ] = 500
    otlp_timeout_ms: Annotated[int, _Doc(description="How long the collector may take to answer.", ge=1)] = 10_000
