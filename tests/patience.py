"""How much longer than usual everything may take: on a machine that is emulated, `TEST_PATIENCE` is 10 or more."""

from __future__ import annotations

import os

FACTOR = float(os.environ.get("TEST_PATIENCE") or 1)
