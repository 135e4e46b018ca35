"""The command line itself: its list of commands, its exit codes, and how errors leave it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import click.testing
import pytest

from faas.cli import client, exits, failures, main, options
from faas.core import errors
from faas.core import settings as settings_module

FAAS = [sys.executable, "-m", "faas.cli.main"]


def faas(*arguments: str, root: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the real command on a data directory of the test's own."""
    env = {"PATH": os.environ["PATH"], "HOME": str(root), "FAAS_DATA_DIR": str(root), **environ}
    return subprocess.run([*FAAS, *arguments], env=env, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("name", main.COMMANDS)
def test_every_command_of_the_table_exists_and_says_what_the_table_says(name: str) -> None:
    context = click.Context(main.group)
    command = main.group.get_command(context, name)
    assert command is not None
    if not main.COMMANDS[name].hidden:
        assert command.name == name
        assert "data_dir" in {param.name for param in command.params}


def test_help_lists_all_commands_and_exit_codes_without_importing_one() -> None:
    code = (
        "import sys, faas.cli.main as m; code = m.run(['--help']);"
        "heavy = {'aiohttp', 'rich', 'sqlalchemy', 'redis', 'uvloop', 'faas.cli.deploy'} & set(sys.modules);"
        "sys.exit(code or bool(heavy))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    shown = [name for name, entry in main.COMMANDS.items() if not entry.hidden]
    assert all(f"  {name} " in ran.stdout for name in shown)
    assert all(row.name in ran.stdout for row in exits.TABLE)


def kinds(kind: type[errors.FaasError]) -> list[type[errors.FaasError]]:
    return [kind, *(deeper for below in kind.__subclasses__() for deeper in kinds(below))]


def test_every_error_has_an_exit_code_of_the_table() -> None:
    named = {row.code for row in exits.TABLE}
    assert {kind.exit_code for kind in kinds(errors.FaasError)} <= named
    assert len(named) == len(exits.TABLE)


def test_a_platform_that_does_not_run_is_one_clear_line_and_exit_code_9(tmp_path: Path) -> None:
    ran = faas("ls", root=tmp_path)
    assert (ran.returncode, ran.stdout) == (9, "")
    assert ran.stderr.splitlines()[0] == f"faas: no platform is running on {tmp_path}"
    assert "faas up" in ran.stderr


def test_with_json_an_error_is_one_object_on_stderr(tmp_path: Path) -> None:
    ran = faas("status", "--json", root=tmp_path)
    assert json.loads(ran.stderr)["error"]["code"] == "unavailable"
    assert ran.stdout == ""


def test_a_wrong_argument_with_json_is_one_object_too(tmp_path: Path) -> None:
    ran = faas("bill", "--json", "--by", "moon", root=tmp_path)
    assert (ran.returncode, json.loads(ran.stderr)["error"]["code"]) == (2, "usage")


def test_an_unknown_command_is_a_line_and_exit_code_2(tmp_path: Path) -> None:
    ran = faas("frobnicate", root=tmp_path)
    assert ran.returncode == 2
    assert "frobnicate" in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("lgos", "logs"), ("list", "ls"), ("delete", "rm"), ("start", "up"), ("deplyo", "deploy"),
        ("dlq delete", "drop"),
        ("dlq lst", "ls"), ("invocations get", "show"), ("undelivered remove", "drop"), ("help recrods", "records"),
    ],
)  # fmt: skip
def test_a_mistyped_command_gets_a_suggestion(words: str, meant: str, tmp_path: Path) -> None:
    ran = faas(*words.split(), root=tmp_path)
    assert ran.returncode == 2
    assert f"did you mean {meant}?" in ran.stderr


def test_help_of_a_command_is_what_its_own_option_says(tmp_path: Path) -> None:
    for words in ((), ("logs",), ("dlq",), ("dlq", "drop")):
        ran = faas("help", *words, root=tmp_path)
        assert (ran.returncode, ran.stdout) == (0, faas(*words, "--help", root=tmp_path).stdout)
    assert faas("help", "logs", "more", root=tmp_path).returncode == 2


def test_the_data_directory_is_chosen_before_or_after_the_command(tmp_path: Path) -> None:
    before = faas("--data-dir", str(tmp_path / "a"), "ls", root=tmp_path)
    after = faas("ls", "--data-dir", str(tmp_path / "b"), root=tmp_path)
    assert str(tmp_path / "a") in before.stderr
    assert str(tmp_path / "b") in after.stderr


def test_an_unexpected_error_is_one_line_and_its_traceback_goes_to_the_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = failures.report(ZeroDivisionError("division by zero"), as_json=False, data_dir=str(tmp_path))
    shown = capsys.readouterr().err
    assert code == 1
    assert shown.splitlines()[0] == "faas: unexpected ZeroDivisionError: division by zero"
    assert str(tmp_path / "logs" / "cli.log") in shown
    assert "ZeroDivisionError" in (tmp_path / "logs" / "cli.log").read_text()


def test_an_interrupt_is_exit_code_130() -> None:
    assert failures.report(KeyboardInterrupt(), as_json=False) == 130


def test_the_single_error_of_a_task_group_is_told_as_itself(capsys: pytest.CaptureFixture[str]) -> None:
    group = ExceptionGroup("tasks", [errors.Conflict("port 80 is in use", hint="choose another")])
    assert failures.report(group, as_json=True) == 5
    assert json.loads(capsys.readouterr().err)["error"] == {
        "code": "conflict",
        "message": "port 80 is in use",
        "hint": "choose another",
    }


def test_every_fault_of_a_manifest_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    faults = errors.ManifestErrors([errors.ManifestError("faas.yaml:1:2: a"), errors.ManifestError("faas.yaml:3:4: b")])
    assert failures.report(faults, as_json=False) == 2
    assert capsys.readouterr().err.splitlines() == ["faas: faas.yaml:1:2: a", "faas: faas.yaml:3:4: b"]


def test_a_reader_that_has_read_enough_is_no_error(tmp_path: Path) -> None:
    code = f"{sys.executable} -m faas.cli.main --help | head -c 1 >/dev/null; exit ${{PIPESTATUS[0]}}"
    ran = subprocess.run(["bash", "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")


@pytest.mark.parametrize(
    ("command", "code", "told"),
    [
        ("version >/dev/full", 1, "faas: cannot write: No space left on device\n"),
        (
            "version --json >/dev/full",
            1,
            '{"error": {"code": "internal", "message": "cannot write: No space left on device"}}\n',
        ),
        ("version >&-", 0, ""),
        ("version <&- >&- 2>&-", 0, ""),
        ("help nosuch 2>&-", 2, ""),
    ],
)
def test_what_its_caller_does_to_its_streams_is_no_unexpected_error(
    command: str, code: int, told: str, tmp_path: Path
) -> None:
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "FAAS_DATA_DIR": str(tmp_path)}
    line = f"{sys.executable} -m faas.cli.main {command}"
    ran = subprocess.run(["bash", "-c", line], env=env, capture_output=True, text=True, timeout=60, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (code, "", told)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_for(shell: str, tmp_path: Path) -> None:
    ran = faas("completion", shell, root=tmp_path)
    assert ran.returncode == 0
    assert "_FAAS_COMPLETE" in ran.stdout


def test_completion_offers_the_commands(tmp_path: Path) -> None:
    ran = faas(root=tmp_path, _FAAS_COMPLETE="bash_complete", COMP_WORDS="faas de", COMP_CWORD="1")
    assert ran.stdout.split() == ["plain,deploy", "plain,describe"]


def convert(text: str) -> int:
    return options.Moment().convert(text, None, None)


def test_a_moment_is_an_age_or_a_date() -> None:
    assert convert("1h") - convert("2h") == pytest.approx(3_600_000, abs=1_000)
    assert convert("90s") - convert("1500ms") == pytest.approx(-88_500, abs=1_000)
    assert convert("2026-01-31T12:00:00+01:00") == 1_769_857_200_000


def test_what_is_no_moment_is_refused() -> None:
    with pytest.raises(click.BadParameter, match="no time"):
        convert("yesterday")


@pytest.mark.parametrize(
    "times", [("--since", "1h", "--until", "2h"), ("--until", "2026-01-01", "--since", "2026-01-02")]
)
@pytest.mark.parametrize("command", ["logs", "stats", "bill"])
def test_a_time_that_ends_before_it_begins_is_refused(command: str, times: tuple[str, ...], tmp_path: Path) -> None:
    shown = click.testing.CliRunner().invoke(main.group, [command, *times, "--data-dir", str(tmp_path)]).output
    assert "--until is before --since, so nothing lies between" in shown


def test_an_empty_name_is_no_path_of_its_own() -> None:
    with pytest.raises(errors.BadRequest, match="the name or id is empty"):
        client.quote("")


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ({"FAAS_REDIS_URL": "127.0.0.1:6379"}, "faas: the Redis URL cannot be used: "),
        ({"FAAS_DATABASE_URL": "mysql://a@b/c"}, "faas: database_url cannot be used: it is for 'mysql'"),
    ],
)
@pytest.mark.parametrize("how", [(), ("--detach",)])
def test_a_url_that_leads_nowhere_is_refused_before_anything_starts(
    setting: dict[str, str], told: str, how: tuple[str, ...], tmp_path: Path
) -> None:
    ran = faas("up", "--engine", "process", *how, root=tmp_path, **setting)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith(told)
    assert len(ran.stderr.splitlines()) == 2


def test_the_version_is_that_of_the_package(tmp_path: Path) -> None:
    assert json.loads(faas("version", "--json", root=tmp_path).stdout)["faas"] == "0.1.0"
    assert faas("--version", root=tmp_path).stdout == faas("version", root=tmp_path).stdout
    assert isinstance(settings_module.Settings(), settings_module.Settings)
