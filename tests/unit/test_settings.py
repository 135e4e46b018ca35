"""Settings: flat for people, in groups for the rooms, one value from many sources."""

from __future__ import annotations

import ast
import itertools
import os
from pathlib import Path

import pytest

from faas.core import errors, groups
from faas.core import settings as settings_module

ROOT = Path(__file__).parents[2]
WIRES = {
    "faas/api/app.py",
    "faas/api/server.py",
    "faas/core/settings.py",
    "faas/delivery/courier.py",
    "faas/delivery/sending.py",
    "faas/health/facts.py",
    "faas/health/looks.py",
    "faas/retention/job.py",
    "runners/node.py",
}
"""Who takes all settings, beside `faas.cli`: what is put together there has parts with groups of their own."""


def test_no_two_groups_have_a_setting_of_one_name() -> None:
    names = list(itertools.chain.from_iterable(group.__struct_fields__ for group in settings_module.GROUPS.values()))
    assert len(names) == len(set(names)) == len(settings_module.GROUP_OF)
    assert not set(names) & set(settings_module.GROUPS), "a setting that is called like a group is taken for it"


def test_flat_names_reach_their_groups_and_nothing_else_changes() -> None:
    chosen = settings_module.of(port="81", redis_prefix="mine")
    assert (chosen.listening.port, chosen.redis.redis_prefix) == (81, "mine")
    assert (chosen.listening.host, chosen.queues) == ("127.0.0.1", groups.Queues())
    again = settings_module.changed(chosen, api_port=82)
    assert (again.listening.port, again.listening.api_port, chosen.listening.api_port) == (81, 82, 8081)


def test_a_child_process_gets_exactly_these_settings(tmp_path: Path) -> None:
    chosen = settings_module.of(data_dir=str(tmp_path), hand_off=False, max_pids=9, bucket_roots="/a:/b")
    environ = settings_module.to_environ(chosen, {"FAAS_PORT": "1", "PATH": "/bin"})
    assert environ["PATH"] == "/bin"
    assert len(environ) == len(settings_module.GROUP_OF) + 1
    assert settings_module.load(environ, file=tmp_path / "none") == chosen


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_the_file_may_be_written_as_editors_of_windows_write_text(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "faas.toml").write_bytes("port = 1\n".encode(encoding))
    assert settings_module.load({"FAAS_DATA_DIR": str(tmp_path)}).listening.port == 1


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "faas.toml").write_text('port = 1\napi_port = 2\nhost = "::1"\ndata_dir = "/elsewhere"\n')
    environ = {"FAAS_DATA_DIR": str(tmp_path), "FAAS_API_PORT": "3", "FAAS_HOST": "::2", "FAAS_NO_SETTING": "1"}
    chosen = settings_module.load(environ, {"host": "::3", "nodes": None})
    assert (chosen.listening.port, chosen.listening.api_port, chosen.listening.host) == (1, 3, "::3")
    assert chosen.data.root == tmp_path


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("prot = 1", "faas.toml: unknown setting prot"),
        ("listening = 1", "faas.toml: unknown setting listening"),
        ("[listening]\nport = 1", "faas.toml: unknown setting listening"),
        ("port = 70000", "faas.toml: port: Expected `int` <= 65535"),
        ('port = "many"', "faas.toml: port: Expected `int`, got `str`"),
        ("port = ", "faas.toml: "),
    ],
)
def test_what_is_wrong_in_the_file_is_named(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "faas.toml").write_text(text)
    with pytest.raises(errors.BadRequest) as refused:
        settings_module.load({}, {"data_dir": str(tmp_path)})
    assert said in refused.value.message


def test_what_is_wrong_in_the_environment_is_named() -> None:
    with pytest.raises(errors.BadRequest, match="environment: FAAS_PORT: Expected `int`"):
        settings_module.load({"FAAS_PORT": "x"})


@pytest.mark.parametrize("wrong", [{"port": -1}, {"prot": 1}, {"listening": groups.Listening()}])
def test_settings_cannot_be_made_of_what_is_none(wrong: dict[str, object]) -> None:
    with pytest.raises(errors.BadRequest):
        settings_module.of(**wrong)


def test_a_room_takes_its_own_groups_and_only_who_wires_takes_all() -> None:
    takes = set()
    for path in itertools.chain.from_iterable((ROOT / top).rglob("*.py") for top in ("faas", "triggers", "runners")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr == "Settings":
                takes.add(path.relative_to(ROOT).as_posix())
    assert {path for path in takes if not path.startswith("faas/cli/")} | {"faas/core/settings.py"} == WIRES


@pytest.mark.parametrize(
    "text",
    [
        b"port = ",
        b"a\0b",
        b"\xff",
        b"port = [" + b"[" * 5_000,
        b"port = 1" + b"0" * 5_000,
        b"port = 1979-05-27",
        b"port = inf",
    ],
)
def test_a_file_that_cannot_be_read_is_refused_by_its_name(tmp_path: Path, text: bytes) -> None:
    file = tmp_path / "faas.toml"
    file.write_bytes(text)
    with pytest.raises(errors.BadRequest) as caught:
        settings_module.load({}, None, file)
    assert caught.value.message.startswith(str(file))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FAAS_CURRENCY", "\udcff"),
        ("FAAS_PORT", "\udcff"),
        ("FAAS_PORT", "9" * 5_000),
        ("FAAS_DATA_DIR", "~nobody-has-this-name"),
        ("FAAS_DATA_DIR", "~nobody-has-this-name/x"),
        ("FAAS_DATA_DIR", "x" * 300),
        ("FAAS_DATA_DIR", "/x" * 5_000),
    ],
)
def test_a_variable_that_can_be_no_setting_is_refused(name: str, value: str) -> None:
    with pytest.raises(errors.BadRequest):
        settings_module.load({name: value})


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_of_somebody_else_is_refused_by_its_name(tmp_path: Path) -> None:
    file = tmp_path / "faas.toml"
    file.touch(mode=0)
    with pytest.raises(errors.BadRequest, match="cannot be read"):
        settings_module.load({}, None, file)


def test_a_folder_in_place_of_the_file_is_no_settings(tmp_path: Path) -> None:
    (tmp_path / "faas.toml").mkdir()
    assert (
        settings_module.load({"FAAS_DATA_DIR": str(tmp_path)}).listening.port
        == settings_module.Settings().listening.port
    )
