"""How much the fuzzing tests try: a little and always the same in `make test`, more and anew with ``FUZZ_FACTOR``."""

from __future__ import annotations

import os

import hypothesis

_FACTOR = int(os.environ.get("FUZZ_FACTOR", "1"))


def bounded(examples: int) -> hypothesis.settings:
    """That many examples, chosen in the same way each time; with ``FUZZ_FACTOR=50``, fifty times as many new ones."""
    return hypothesis.settings(
        max_examples=examples * _FACTOR,
        derandomize=_FACTOR == 1,
        database=None,
        deadline=None,
        suppress_health_check=[hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.function_scoped_fixture],
    )
