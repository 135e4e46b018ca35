from __future__ import annotations

from pathlib import Path

import pytest

from faas.cli import languages as platforms
from faas.runtimes import installed, port, table
from runners.engines import languages
from runners.sandbox import base
from tests.sh import runtime as sh

BOTH = table.Runtimes([*platforms.known(""), sh.Sh()])


def _without(*names: str) -> languages.Version:
    def version(runtime: port.Runtime) -> tuple[str, str] | None:
        if runtime.name in names:
            raise base.EngineUnavailable(f"no image for {runtime.name}")
        return runtime.name, "image"

    return version


def test_a_language_is_found_by_any_of_its_versions_and_one_that_is_not_known_keeps_its_name() -> None:
    assert [BOTH.name_of(asked) for asked in ("python3", "python3.14", "sh", "python2", "node20")] == [
        *("python3", "python3", "sh"),
        *("python2", "node20"),
    ]
    assert BOTH.of("node20") is None


def test_a_language_that_is_not_to_be_had_is_left_out_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found = languages.found(tmp_path, BOTH, _without("sh"))
    assert [one.name for one in found.installed] == ["python3"]
    assert [runtime.name for runtime in found.runtimes] == ["python3"]
    assert [record.message for record in caplog.records] == ["runtime_left_out"]
    with pytest.raises(base.EngineUnavailable, match="no sandboxes of sh"):
        found.of(base.Spec(runtime="sh"))


def test_without_any_language_the_first_reason_is_raised(tmp_path: Path) -> None:
    with pytest.raises(base.EngineUnavailable, match="no image for python3"):
        languages.found(tmp_path, BOTH, _without("python3", "sh"))


def test_a_language_that_this_host_has_not_is_left_out_in_silence(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found = languages.found(tmp_path, BOTH, lambda runtime: None if runtime.name == "sh" else ("python3.9", ""))
    assert [one.name for one in found.installed] == ["python3.9"]
    assert not caplog.records


def test_each_language_gets_the_files_of_its_own_agent(tmp_path: Path) -> None:
    found = languages.found(tmp_path, BOTH, _without())
    agents = [found.of(base.Spec(runtime=name)).agent for name in ("python3", "sh")]
    assert [(agent / "agent.py").is_file() for agent in agents] == [False, True]
    assert [(agent / "__main__.py").is_file() for agent in agents] == [True, False]


def test_what_nodes_publish_is_read_again_and_what_cannot_be_read_is_passed_over() -> None:
    has = [
        installed.Installed(name="python3.11", machine="aarch64", libc="musl"),
        installed.Installed(name="sh", machine="x86_64"),
    ]
    told = dict(map(installed.encode, has))
    assert [*map(str, installed.decode({name.encode(): value for name, value in told.items()}))] == [
        "python3.11 on Linux aarch64 (musl)",
        "sh on Linux x86_64 (glibc)",
    ]
    later = {b"sh": b'{"machine": "arm64", "gpu": 1}', b"3.11": b"", b"\xff": b"{}", b"b": b"[1]", b"c": b'{"libc":1}'}
    assert installed.decode(later) == [installed.Installed(name="sh", machine="arm64")]
