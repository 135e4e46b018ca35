"""The SQL tables, and nothing else. Moments are Unix milliseconds, money is pico-units (10^-12 of the currency)."""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData()
_HAS_ROOT = sa.text("root_id IS NOT NULL")
_IS_OPEN = sa.text("is_open")
_IS_ERROR = sa.text("level >= 40")

catalog = sa.Table(
    "catalog",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("version", sa.BigInteger, nullable=False),
)
revisions = sa.Table(
    "revisions",
    metadata,
    sa.Column("function", sa.Text, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("artifact", sa.Text, nullable=False),
    sa.Column("config", sa.LargeBinary, nullable=False),
    sa.Column("created_at_ms", sa.BigInteger, nullable=False),
)
functions = sa.Table(
    "functions",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("current", sa.Integer, nullable=False),
)
buckets = sa.Table(
    "buckets",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("path", sa.Text),
)
records = sa.Table(
    "records",
    metadata,
    sa.Column("invocation_id", sa.Text, primary_key=True),
    sa.Column("attempt", sa.Integer, primary_key=True),
    sa.Column("function", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("ended_at_ms", sa.BigInteger, nullable=False),
    sa.Column("duration_us", sa.BigInteger, nullable=False),
    sa.Column("queue_ms", sa.BigInteger, nullable=False),
    sa.Column("init_ms", sa.BigInteger, nullable=False),
    sa.Column("cold_start", sa.Text, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("root_id", sa.Text),
    # Whether it was added to the roll-ups when it was written; null for what was there before there were any.
    sa.Column("is_rolled_up", sa.Integer),
    sa.Index("records_by_function", "function", "ended_at_ms"),
    sa.Index("records_by_end", "ended_at_ms"),
    sa.Index("records_by_root", "root_id", sqlite_where=_HAS_ROOT, postgresql_where=_HAS_ROOT),
)
totals = sa.Table(
    "totals",
    metadata,
    sa.Column("day", sa.Text, primary_key=True),
    sa.Column("function", sa.Text, primary_key=True),
    sa.Column("trigger", sa.Text, primary_key=True),
    sa.Column("status", sa.Text, primary_key=True),
    sa.Column("cold_start", sa.Text, primary_key=True),
    sa.Column("count", sa.BigInteger, nullable=False),
    sa.Column("billed_ms", sa.BigInteger, nullable=False),
    sa.Column("cost_pico", sa.BigInteger, nullable=False),
    sa.Column("duration_us", sa.BigInteger, nullable=False),
    sa.Column("queue_ms", sa.BigInteger, nullable=False),
    sa.Column("init_ms", sa.BigInteger, nullable=False),
)
histograms = sa.Table(
    "histograms",
    metadata,
    sa.Column("function", sa.Text, primary_key=True),
    sa.Column("figure", sa.Text, primary_key=True),
    sa.Column("bound_us", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("count", sa.BigInteger, nullable=False),
    sa.Column("sum_us", sa.BigInteger, nullable=False),
)
logs = sa.Table(
    "logs",
    metadata,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("at_ms", sa.BigInteger, nullable=False),
    sa.Column("function", sa.Text, nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("invocation_id", sa.Text, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("level", sa.SmallInteger),
    sa.Index("logs_of_errors", "id", sqlite_where=_IS_ERROR, postgresql_where=_IS_ERROR),
    sa.Index("logs_by_function", "function", "id"),
    sa.Index("logs_by_invocation", "invocation_id"),
    sa.Index("logs_by_time", "at_ms"),
)
dead_letters = sa.Table(
    "dead_letters",
    metadata,
    sa.Column("invocation_id", sa.Text, primary_key=True),
    sa.Column("function", sa.Text, nullable=False),
    sa.Column("died_at_ms", sa.BigInteger, nullable=False),
    sa.Column("invocation", sa.LargeBinary, nullable=False),
    sa.Column("record", sa.LargeBinary, nullable=False),
    sa.Column("retried_as", sa.Text),
    sa.Column("revision", sa.Integer),
    sa.Index("dead_letters_by_function", "function", "died_at_ms"),
    sa.Index("dead_letters_by_revision", "function", "revision"),
    sa.Index("dead_letters_by_time", "died_at_ms"),
)
undelivered = sa.Table(
    "undelivered",
    metadata,
    sa.Column("invocation_id", sa.Text, primary_key=True),
    sa.Column("function", sa.Text, nullable=False),
    sa.Column("given_up_at_ms", sa.BigInteger, nullable=False),
    sa.Column("destination", sa.Text, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("settled", sa.LargeBinary, nullable=False),
    sa.Column("invocation", sa.LargeBinary, nullable=False),
    sa.Column("revision", sa.Integer),
    sa.Index("undelivered_by_function", "function", "given_up_at_ms"),
    sa.Index("undelivered_by_revision", "function", "revision"),
    sa.Index("undelivered_by_time", "given_up_at_ms"),
)
kept = sa.Table(
    "kept",
    metadata,
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("count", sa.BigInteger, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("freed", sa.BigInteger, nullable=False),
    sa.Column("freed_bytes", sa.BigInteger, nullable=False),
    sa.Column("looked_at_ms", sa.BigInteger, nullable=False),
)
rollup_parts = sa.Table(
    "rollup_parts",
    metadata,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("groups", sa.Integer, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    # No number comes again: who merges knows parts by them.
    sqlite_autoincrement=True,
)
rollups = sa.Table(
    "rollups",
    metadata,
    sa.Column("span_ms", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("at_ms", sa.BigInteger, primary_key=True, autoincrement=False),
    # Empty: all functions together.
    sa.Column("function", sa.Text, primary_key=True),
    sa.Column("count", sa.BigInteger, nullable=False),
    sa.Column("errors", sa.BigInteger, nullable=False),
    sa.Column("cold_starts", sa.BigInteger, nullable=False),
    sa.Column("billed_ms", sa.BigInteger, nullable=False),
    sa.Column("cost_pico", sa.BigInteger, nullable=False),
    sa.Column("sketches", sa.LargeBinary, nullable=False),
    sa.Column("kinds", sa.LargeBinary, nullable=False),
    # The upper end of the durations (`faas.core.slowest`); null in rows of before it was kept.
    sa.Column("slowest", sa.LargeBinary),
    sa.Index("rollups_by_function", "function", "span_ms", "at_ms"),
    sqlite_with_rowid=False,
)
rollup_state = sa.Table(
    "rollup_state",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)
billed = sa.Table(
    "billed",
    metadata,
    sa.Column("day", sa.Text, primary_key=True),
    sa.Column("function", sa.Text, primary_key=True),
    # Revision and memory are 0 in what was added up before they were kept.
    sa.Column("revision", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("trigger", sa.Text, primary_key=True),
    sa.Column("memory_mb", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("count", sa.BigInteger, nullable=False),
    sa.Column("requests", sa.BigInteger, nullable=False),
    sa.Column("billed_ms", sa.BigInteger, nullable=False),
    sa.Column("cost_pico", sa.BigInteger, nullable=False),
    sa.Column("cpu_us", sa.BigInteger, nullable=False),
)
revision_tags = sa.Table(
    "revision_tags",
    metadata,
    sa.Column("function", sa.Text, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("tags", sa.Text, nullable=False),
)
budgets = sa.Table(
    "budgets",
    metadata,
    sa.Column("function", sa.Text, primary_key=True),
    sa.Column("period", sa.Text, primary_key=True),
    sa.Column("per", sa.Text, nullable=False),
    sa.Column("then", sa.Text, nullable=False),
    sa.Column("amount_pico", sa.BigInteger, nullable=False),
    sa.Column("spent_pico", sa.BigInteger, nullable=False),
    sa.Column("at_ms", sa.BigInteger, nullable=False),
    sa.Column("until_ms", sa.BigInteger, nullable=False),
    sa.Column("lifted_at_ms", sa.BigInteger),
    sa.Index("budgets_by_end", "until_ms"),
)
# Alarms: what is declared, how each stands, who is to be told, and what came to pass (`faas.store.alarms`).
alarms = sa.Table(
    "alarms",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("function", sa.Text, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("revision", sa.Integer),
    sa.Column("declared_at_ms", sa.BigInteger, nullable=False),
    sa.Index("alarms_by_function", "function"),
)
alarm_states = sa.Table(
    "alarm_states",
    metadata,
    sa.Column("alarm", sa.Text, primary_key=True),
    sa.Column("function", sa.Text, primary_key=True),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("since_ms", sa.BigInteger, nullable=False),
    sa.Column("at_ms", sa.BigInteger, nullable=False),
    sa.Column("clear_since_ms", sa.BigInteger, nullable=False),
    sa.Column("told_at_ms", sa.BigInteger, nullable=False),
    sa.Column("value", sa.Double),
    sa.Column("text", sa.Text, nullable=False),
    sa.Index("alarm_states_by_state", "state", "function"),
)
alarm_silences = sa.Table(
    "alarm_silences",
    metadata,
    sa.Column("alarm", sa.Text, primary_key=True),
    sa.Column("function", sa.Text, primary_key=True),
    sa.Column("until_ms", sa.BigInteger, nullable=False),
)
alarm_history = sa.Table(
    "alarm_history",
    metadata,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("alarm", sa.Text, nullable=False),
    sa.Column("function", sa.Text, nullable=False),
    sa.Column("at_ms", sa.BigInteger, nullable=False),
    sa.Column("was", sa.Text, nullable=False),
    sa.Column("became", sa.Text, nullable=False),
    sa.Column("value", sa.Double),
    sa.Column("text", sa.Text, nullable=False),
    sa.Index("alarm_history_by_alarm", "alarm", "id"),
    sa.Index("alarm_history_by_time", "at_ms"),
)
alarm_messages = sa.Table(
    "alarm_messages",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("place", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("destination", sa.LargeBinary, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
)
alarm_rounds = sa.Table(
    "alarm_rounds",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("serial", sa.BigInteger, nullable=False),
    sa.Column("slot", sa.BigInteger, nullable=False),
    sa.Column("at_ms", sa.BigInteger, nullable=False),
    sa.Column("file_origin", sa.Text, nullable=False),
    sa.Column("file_digest", sa.Text, nullable=False),
    sa.Column("file_fault", sa.Text, nullable=False),
)
chains = sa.Table(
    "chains",
    metadata,
    sa.Column("root_id", sa.Text, primary_key=True),
    sa.Column("function", sa.Text, nullable=False),
    sa.Column("trigger", sa.Text, nullable=False),
    sa.Column("object", sa.Text),
    sa.Column("began_at_ms", sa.BigInteger, nullable=False),
    sa.Column("ended_at_ms", sa.BigInteger, nullable=False),
    sa.Column("duration_ms", sa.BigInteger, nullable=False),
    sa.Column("count", sa.BigInteger, nullable=False),
    sa.Column("billed_ms", sa.BigInteger, nullable=False),
    sa.Column("cost_pico", sa.BigInteger, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("is_open", sa.Boolean, nullable=False),
    sa.Index("chains_by_end", "ended_at_ms"),
    sa.Index("chains_by_duration", "duration_ms"),
    sa.Index("chains_by_cost", "cost_pico"),
    sa.Index("chains_open", "root_id", sqlite_where=_IS_OPEN, postgresql_where=_IS_OPEN),
)
kept_by_function = sa.Table(
    "kept_by_function",
    metadata,
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("function", sa.Text, primary_key=True),
    sa.Column("count", sa.BigInteger, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
)
keep_rules = sa.Table(
    "keep_rules",
    metadata,
    # `logs` as somebody set it while the platform ran, `manifest:logs` as the function's manifest says.
    sa.Column("kind", sa.Text, primary_key=True),
    # Empty: for all functions.
    sa.Column("function", sa.Text, primary_key=True),
    sa.Column("keep_ms", sa.BigInteger, nullable=False),
    sa.Column("set_at_ms", sa.BigInteger, nullable=False),
)
