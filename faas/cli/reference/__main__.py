"""`python -m faas.cli.reference FOLDER` writes every page into FOLDER."""

from __future__ import annotations

import sys
from pathlib import Path

from faas.cli.reference import pages

for name, page in pages.MADE.items():
    (Path(sys.argv[1]) / name).write_text(page(), encoding="utf-8")
