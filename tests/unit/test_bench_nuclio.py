"""How Nuclio's processor is started."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.bench import cpu_part, http_part, nuclio


def test_its_absence_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NUCLIO", raising=False)
    assert nuclio.processor() is None
    assert http_part.notes() == cpu_part.notes() == [nuclio.ABSENT]
    monkeypatch.setenv("NUCLIO", "/opt/processor")
    assert nuclio.processor() == Path("/opt/processor")
    assert http_part.notes() == []


def test_its_trigger_listens_on_loopback_with_four_workers(tmp_path: Path) -> None:
    command = nuclio.command(Path("/opt/processor"), tmp_path, 8123)
    assert command[0] == "/opt/processor"
    told = msgspec.json.decode(Path(command[command.index("--config") + 1]).read_bytes())
    trigger = told["spec"]["triggers"]["http"]
    assert (trigger["url"], trigger["numWorkers"]) == ("127.0.0.1:8123", 4)
    around = msgspec.json.decode(Path(command[command.index("--platform-config") + 1]).read_bytes())
    assert not around["webAdmin"]["enabled"]


def test_its_workers_find_the_wrapper_beside_it_or_where_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NUCLIO_PYTHON_WRAPPER_PATH", raising=False)
    found = nuclio.environ(Path("/opt/processor"), Path("/venv/bin"))
    assert found["NUCLIO_PYTHON_WRAPPER_PATH"] == "/opt/py/_nuclio_wrapper.py"
    assert found["NUCLIO_PYTHON_EXE_PATH"] == "/venv/bin/python"
    monkeypatch.setenv("NUCLIO_PYTHON_WRAPPER_PATH", "/src/py/_nuclio_wrapper.py")
    assert nuclio.environ(Path("/opt/processor"), Path("/venv/bin"))["NUCLIO_PYTHON_PATH"] == "/src/py"
