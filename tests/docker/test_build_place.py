"""Where packages are installed: a container, with nothing of the host but what it needs."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

import pytest

from faas.builds import folders, layers
from faas.cli import languages
from faas.core import errors
from faas.core import settings as settings_module
from faas.runtimes import bounds, children
from faas.runtimes.python import installing, requirements, target
from runners.engines import building
from runners.engines.docker import abilities, daemon
from runners.sandbox import base
from tests import wheels

pytestmark = pytest.mark.docker
MB = 1024 * 1024
WHEEL = "mine-1-py3-none-any.whl"


def place(settings: settings_module.Settings, **changes: str) -> building.BuildPlace:
    chosen = settings_module.changed(settings, **{"build_place": "container", **changes})
    return building.BuildPlace(
        chosen.data.root,
        chosen.building,
        chosen.sandboxes.engine,
        next(iter(languages.known(settings.sandboxes.base_image))).image,
    )


def programs(where: building.BuildPlace, seconds: float = 60) -> children.Programs:
    return children.Programs(children.Deadline("f", seconds), bounds.Bound(max_bytes=32 * MB, max_files=2_000), where)


def install(settings: settings_module.Settings, text: str, where: building.BuildPlace) -> layers.Layer:
    source = settings.data.root / "builds/one/work/source-0"
    source.mkdir(parents=True, exist_ok=True)
    (source / "requirements.txt").write_text(text)
    wanted = target.Target(python=f"{sys.version_info.major}.{sys.version_info.minor}")
    asked = installing.Packages(requirements.read(source, "requirements.txt"), source, wanted)
    work = settings.data.root / "builds/one/work/layers"
    return layers.Layers(folders.BuildFolders(settings.data.root)).layer(asked, work, programs(where))


def said(settings: settings_module.Settings, script: str, seconds: float = 60, **changes: str) -> children.ProgramEnd:
    filled = settings.data.root / "filled"
    filled.mkdir(exist_ok=True)
    job = children.Program(
        command=["/bin/sh", "-c", script], cwd=Path("/"), env={**os.environ}, fills=(filled,), network=True
    )
    return programs(place(settings, **changes), seconds).run(job)


def _left(settings: settings_module.Settings) -> list[str]:
    client = daemon.connect()
    try:
        return [
            name for each in client.containers(all=True, filters={"label": building.LABEL}) for name in each["Names"]
        ]
    finally:
        client.close()


def test_packages_are_installed_in_a_container_and_belong_to_us(settings: settings_module.Settings) -> None:
    layer = install(settings, "six==1.17.0\n", place(settings))
    assert layer.packages == ("six==1.17.0",)
    assert {path.stat().st_uid for path in layer.folder.rglob("*")} == {os.getuid()}
    assert _left(settings) == []


def test_what_installs_is_a_user_with_no_rights_who_sees_nothing_of_the_host(
    settings: settings_module.Settings,
) -> None:
    (settings.data.root / "token").write_text("secret")
    told = said(
        settings,
        f"id -u; grep -h -e CapEff -e CapBnd -e NoNewPrivs -e Seccomp: /proc/self/status; ls {settings.data.root};"
        " touch /x 2>&1; env | grep -c FAAS; ls /root/.ssh /var/run/docker.sock 2>&1",
    ).stdout
    lines = told.splitlines()
    with contextlib.closing(daemon.connect()) as client:
        user = building.user_for(abilities.ask(client), os.getuid(), os.getgid())
    assert lines[0] == str(user.inside[0]) != "0"
    assert {line.split()[1] for line in lines if line.startswith("Cap")} == {"0000000000000000"}
    assert "NoNewPrivs:\t1" in lines
    assert "Seccomp:\t2" in lines
    assert "token" not in lines
    assert "Read-only file system" in told


@pytest.mark.parametrize(
    "files",
    [{f"z{number}.bin": bytes(10 * MB) for number in range(40)}, {f"f{number}": b"" for number in range(30_000)}],
    ids=["bytes", "files"],
)
def test_a_bomb_is_stopped_in_its_container_and_leaves_nothing(
    settings: settings_module.Settings, files: dict[str, bytes]
) -> None:
    with wheels.index({WHEEL: wheels.wheel(files)}) as url, pytest.raises(errors.TooLarge):
        install(settings, f"--index-url {url}/simple\nmine\n", place(settings, build_network="host"))
    assert [
        path for path in (settings.data.root / "cache").rglob("*") if path.is_file() and path.parent.name != "locks"
    ] == []
    assert _left(settings) == []


def test_memory_and_processes_are_limited_and_so_is_time(settings: settings_module.Settings) -> None:
    ended = said(settings, "python3 -c 'x = bytearray(4 * 1024 ** 3)'")
    assert ended.code != 0
    forks = "import os, signal\ntry:\n while os.fork(): pass\n signal.pause()\n"
    forks += "except OSError as error: print(error, flush=True)\nos.kill(-1, 9)"
    assert "temporarily unavailable" in said(settings, f'exec python3 -c "{forks}"').stdout
    with pytest.raises(errors.BuildFailed, match="took longer"):
        said(settings, "sleep 60", seconds=2)
    assert _left(settings) == []


def test_while_docker_is_away_nothing_is_installed_outside_of_a_container(
    settings: settings_module.Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    (settings.data.root / "engine").write_text("docker")
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    with pytest.raises(base.EngineUnavailable):
        said(settings, "true", build_place="auto")
