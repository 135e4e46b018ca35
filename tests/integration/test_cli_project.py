"""`faas init`, `faas schema` and `faas doctor` as a person runs them, with nothing running."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from faas.core import model
from faas.core.manifest import loading, table


def _faas(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "faas.cli.main", "--data-dir", str(cwd / "data"), *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("folder", "name"), [("hello", "hello"), ("My Project!", "my-project"), ("___", "hello")])
def test_init_writes_a_project_that_loads(tmp_path: Path, folder: str, name: str) -> None:
    assert _faas("init", folder, cwd=tmp_path).returncode == 0
    (function,) = loading.load(tmp_path / folder).functions
    assert function.name == name
    assert function.config.triggers == (model.HttpTrigger(path=f"/{name}/{{name}}", methods=("GET",)),)


def test_init_explains_every_line(tmp_path: Path) -> None:
    _faas("init", "--name", "fn", ".", cwd=tmp_path)
    loading.load(tmp_path)
    code = [line for line in (tmp_path / "app.py").read_text().splitlines() if line.strip()]
    assert all("#" in line for line in (tmp_path / "faas.yaml").read_text().splitlines())
    assert all("#" in line or re.match(r"GREETING", line) for line in code)


def test_the_handler_of_init_runs(tmp_path: Path) -> None:
    _faas("init", ".", cwd=tmp_path)
    call = "import app, types; c = types.SimpleNamespace(aws_request_id='1'); print(app.handler({'name': 'Ada'}, c))"
    done = subprocess.run([sys.executable, "-c", call], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "Hello, Ada!" in done.stdout


def test_init_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("mine")
    done = _faas("init", ".", cwd=tmp_path)
    assert (done.returncode, "exists already" in done.stderr) == (5, True)
    assert (tmp_path / "app.py").read_text() == "mine"
    assert not (tmp_path / "faas.yaml").exists()


def test_init_refuses_a_name_that_a_manifest_would_refuse(tmp_path: Path) -> None:
    assert _faas("init", "--name", "No_Good", ".", cwd=tmp_path).returncode == 2


def test_schema_prints_the_schema_of_the_manifest(tmp_path: Path) -> None:
    assert json.loads(_faas("schema", cwd=tmp_path).stdout) == table.json_schema()


def test_doctor_says_that_nothing_runs_and_fails(tmp_path: Path) -> None:
    done = _faas("doctor", "--json", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (9, "")
    facts = {fact["name"]: fact for fact in json.loads(done.stdout)["facts"]}
    assert facts["platform"]["state"] == facts["redis"]["state"] == "failed"
    assert facts["conservation"]["state"] == "unknown"
    assert facts["ledger"]["state"] == "warning"


def test_down_without_a_platform_is_no_error(tmp_path: Path) -> None:
    done = _faas("down", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, f"no platform is running on {tmp_path / 'data'}\n")


def test_a_process_without_a_redis_says_what_to_do(tmp_path: Path) -> None:
    done = _faas("recorder", cwd=tmp_path)
    assert done.returncode == 9
    assert "set FAAS_REDIS_URL" in done.stderr
