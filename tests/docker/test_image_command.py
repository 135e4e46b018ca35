"""`faas image`, which set-up calls: it has the last word on what a first start would otherwise wait for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.docker


def image(root: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "FAAS_DATA_DIR": str(root), **environ}
    command = [sys.executable, "-m", "faas.cli.main", "image", "--json"]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)


def test_an_image_that_is_there_is_made_ready_and_found_again_in_silence(tmp_path: Path) -> None:
    first, second = image(tmp_path), image(tmp_path)
    assert (first.returncode, second.returncode) == (0, 0), first.stderr
    assert json.loads(first.stdout) == json.loads(second.stdout)
    (python,) = json.loads(second.stdout)["images"]
    assert python["runtime"].startswith("python3.")
    assert second.stderr == ""


def test_a_named_image_that_is_not_to_be_had_is_an_error_that_names_it_and_the_setting(tmp_path: Path) -> None:
    done = image(tmp_path, FAAS_BASE_IMAGE="localhost:1/no-such-image:1")
    assert done.returncode == 9
    error = json.loads(done.stderr.splitlines()[-1])["error"]
    assert "localhost:1/no-such-image:1" in error["message"]
    assert "base_image" in error["hint"]


def test_without_an_engine_the_error_says_so(tmp_path: Path) -> None:
    done = image(tmp_path, DOCKER_HOST=f"unix://{tmp_path}/none.sock")
    assert done.returncode == 9
    assert "Docker does not answer" in json.loads(done.stderr)["error"]["message"]
