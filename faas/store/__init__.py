"""Everything that knows SQL: functions, the ledger, logs and dead letters."""
