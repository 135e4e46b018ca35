"""`faas deploy` as a person runs it: the real platform, with process sandboxes, and the real command."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from faas.core.manifest import loading
from tests.eventually import eventually_sync

Faas = Callable[..., "subprocess.CompletedProcess[str]"]

_A = "functions:\n  a: {runtime: python3, handler: app.handler"
GOOD = "def handler(event, context):\n    return {count}\n"


def _environ(root: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(root), "FAAS_DATA_DIR": str(root / "d"), "FAAS_ENGINE": "process"}


def _command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "faas.cli.main", *map(str, arguments)]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder whose ``d`` is the data directory of a platform that runs."""
    made = tmp_path_factory.mktemp("p")
    up = _command("up", "--detach", "--json", "--port", "0")
    subprocess.run(up, env=_environ(made), check=True, capture_output=True, timeout=60)
    yield made
    subprocess.run(_command("down"), env=_environ(made), check=True, capture_output=True, timeout=60)


@pytest.fixture
def faas(root: Path) -> Faas:
    """Runs one command."""

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        ran = subprocess.run(_command(*arguments), env=_environ(root), capture_output=True, text=True, timeout=120)
        assert "faas/" not in ran.stderr, "a frame of the platform's own is shown"
        return ran

    return run


def write(folder: Path, name: str, code: str, config: str = "", handler: str = "app.handler") -> Path:
    folder.mkdir(exist_ok=True)
    text = f"functions:\n  {name}:\n    runtime: python3\n    handler: {handler}\n    {config}\n"
    (folder / "faas.yaml").write_text(text)
    (folder / "app.py").write_text(code)
    return folder


def left(root: Path) -> dict[str, Any]:
    """What deployments may have left behind."""
    folders = ("builds", "uploads", "artifacts", "code", "cache/bundles")
    return {name: sorted(path.name for path in (root / "d" / name).glob("*")) for name in folders}


def test_a_deploy_shows_each_step_as_a_plain_line_and_the_function_in_a_table(faas: Faas, tmp_path: Path) -> None:
    done = faas("deploy", write(tmp_path, "steps", GOOD.format(count=1)))
    assert done.returncode == 0
    assert [line.split()[:3] for line in done.stderr.splitlines()] == [
        ["steps:", "validate", "done"], ["steps:", "resolve", "skipped"], ["steps:", "compile", "done"],
        ["steps:", "pack", "done"], ["steps:", "load", "done"], ["project:", "activate", "done"],
    ]  # fmt: skip
    assert done.stdout.splitlines()[1].split()[:3] == ["steps", "1", "yes"]


def test_an_unchanged_function_makes_no_new_revision_and_json_is_one_object(faas: Faas, tmp_path: Path) -> None:
    folder = write(tmp_path, "same", GOOD.format(count=1))
    first, again = (faas("deploy", folder, "--json") for _ in range(2))
    assert (first.returncode, again.returncode, first.stderr, again.stderr) == (0, 0, "", "")
    told = [json.loads(each.stdout)["functions"][0] for each in (first, again)]
    assert [(each["revision"], each["changed"]) for each in told] == [(1, True), (1, False)]
    assert told[0]["artifact"] == told[1]["artifact"]


def test_a_changed_manifest_changes_only_the_functions_that_it_concerns(faas: Faas, tmp_path: Path) -> None:
    folder = write(tmp_path, "one", GOOD.format(count=1))
    manifest = folder / "faas.yaml"
    manifest.write_text(manifest.read_text() + "  # another\n  other: {runtime: python3, handler: app.handler}\n")
    faas("deploy", folder)
    manifest.write_text(manifest.read_text().replace("handler: app.handler}", "handler: app.handler, timeout: 9s}"))
    again = json.loads(faas("deploy", folder, "--json").stdout)["functions"]
    assert {each["function"]: each["changed"] for each in again} == {"one": False, "other": True}


def test_a_failed_deploy_shows_the_users_traceback_and_the_old_revision_serves_on(
    faas: Faas, root: Path, tmp_path: Path
) -> None:
    folder = write(tmp_path, "kept", GOOD.format(count=1))
    faas("deploy", folder)
    before = eventually_sync(lambda: left(root) if not left(root)["builds"] else None)
    (folder / "app.py").write_text("print('looking')\n\n\ndef find():\n    raise LookupError('no luck')\n\n\nfind()\n")
    failed = faas("deploy", folder)
    assert failed.returncode == 7
    said = failed.stderr.splitlines()
    assert said[-1] == "faas: kept: the handler app.handler does not load: LookupError: no luck"
    assert "looking" in said
    assert [line.strip() for line in said if line.startswith("    ")] == ["find()", "raise LookupError('no luck')"]
    assert 'app.py", line 5, in find' in failed.stderr
    assert json.loads(faas("invoke", "kept", "--json").stdout)["result"] == 1
    assert eventually_sync(lambda: left(root) == before)
    (folder / "app.py").write_text(GOOD.format(count=2))
    assert faas("deploy", folder).returncode == 0
    assert json.loads(faas("invoke", "kept", "--json").stdout)["result"] == 2


def test_with_json_a_failed_deploy_is_one_object_on_stderr(faas: Faas, tmp_path: Path) -> None:
    failed = faas("deploy", write(tmp_path, "broken", "raise LookupError('no luck')\n"), "--json")
    assert (failed.returncode, failed.stdout) == (7, "")
    error = json.loads(failed.stderr)["error"]
    assert (error["code"], error["function"], error["error_type"]) == ("build_failed", "broken", "LookupError")
    assert "raise LookupError" in "".join(error["stack"])


@pytest.mark.parametrize(
    ("code", "handler", "said"),
    [
        (GOOD, "app.main", "the handler app.main does not load: Runtime.HandlerNotFound: Handler 'main' missing"),
        (
            GOOD,
            "other.main",
            "the handler other.main does not load: Runtime.ImportModuleError: Unable to import module",
        ),
        ("x = 1\ndef handler(event context):\n    pass\n", "app.handler", "app.py:2 does not compile: SyntaxError"),
        ("import sys\nsys.exit(3)\n", "app.handler", "does not load: Runtime.ExitError"),
        ("import os\nos._exit(3)\n", "app.handler", "does not load: Runtime.ExitError"),
    ],
)
def test_a_handler_that_cannot_be_loaded_is_one_clear_line(
    code: str, handler: str, said: str, faas: Faas, tmp_path: Path
) -> None:
    failed = faas("deploy", write(tmp_path, "bad", code.format(count=1), handler=handler))
    last = failed.stderr.splitlines()[-1]
    assert (failed.returncode, said in last) == (7, True), failed.stderr
    assert last.startswith("faas: bad: ")


def test_a_requirement_that_does_not_exist_is_one_clear_line_and_leaves_nothing(
    faas: Faas, root: Path, tmp_path: Path
) -> None:
    before = eventually_sync(lambda: left(root) if not left(root)["builds"] else None)
    folder = write(tmp_path, "needy", GOOD.format(count=1), "requirements: needs.txt")
    (folder / "needs.txt").write_text("# mine\nfaas-no-such-package-zzz\n")
    failed = faas("deploy", folder)
    assert failed.returncode == 7
    assert "faas: needs.txt:2: the package index has no package faas-no-such-package-zzz\n" in failed.stderr
    assert eventually_sync(lambda: left(root) == before)


@pytest.mark.parametrize(
    ("manifest_text", "said"),
    [
        (None, "no manifest: {folder}/faas.yaml does not exist"),
        ("functions: [\n", "{folder}/faas.yaml:2:1: (the file): found '<stream end>', expected the node content"),
        (f"{_A}, memry: 1GB}}\n", "{folder}/faas.yaml:2:47: functions.a.memry: found an unknown key"),
        (f"{_A}, requirements: no.txt}}\n", "{folder}/faas.yaml:2:61: functions.a.requirements: found 'no.txt'"),
        (f"{_A}, source: nowhere}}\n", "{folder}/faas.yaml:2:55: functions.a.source: found 'nowhere'"),
    ],
)  # fmt: skip
def test_a_manifest_that_cannot_be_used_is_one_clear_line_with_its_place(
    manifest_text: str | None, said: str, faas: Faas, tmp_path: Path
) -> None:
    if manifest_text is not None:
        (tmp_path / "faas.yaml").write_text(manifest_text)
    failed = faas("deploy", tmp_path)
    assert (failed.returncode, failed.stdout) == (2, "")
    assert failed.stderr.splitlines()[0].startswith(f"faas: {said.format(folder=tmp_path)}")


def test_a_deploy_waits_for_a_control_api_that_is_started_again(
    faas: Faas, root: Path, tmp_path: Path, open_folder: Path
) -> None:
    folder = write(tmp_path, "patient", f"import os, time\nwhile not os.path.exists({str(open_folder / 'go')!r}):\n    "
                   "time.sleep(0.01)\n\n\ndef handler(event, context):\n    return 1\n")  # fmt: skip
    deploy = subprocess.Popen(_command("deploy", folder), env=_environ(root), stderr=subprocess.PIPE, text=True)
    assert deploy.stderr is not None
    while "pack" not in deploy.stderr.readline():
        pass
    os.kill(_api(root)["pid"], signal.SIGKILL)
    eventually_sync(lambda: _api(root)["restarts"] > 0, within=20)
    (open_folder / "go").touch()
    assert deploy.wait(60) == 0
    deploy.stderr.close()


def _api(root: Path) -> dict[str, Any]:
    processes: list[dict[str, Any]] = json.loads((root / "d/platform.json").read_text())["processes"]
    return next(each for each in processes if each["name"] == "api")


def test_on_a_terminal_the_steps_are_drawn_in_place_and_fit_eighty_columns(root: Path, tmp_path: Path) -> None:
    folder = write(tmp_path, "drawn", GOOD.format(count=3))
    main_end, other_end = pty.openpty()
    environ = {**_environ(root), "TERM": "xterm", "COLUMNS": "80"}
    done = subprocess.Popen(
        _command("deploy", folder), env=environ, stderr=other_end, stdout=subprocess.PIPE, text=True
    )
    os.close(other_end)
    drawn = b""
    while chunk := _read(main_end):
        drawn += chunk
    out, _ = done.communicate(timeout=60)
    os.close(main_end)
    assert done.returncode == 0
    rows = drawn.decode().split("drawn")[-1].splitlines()
    assert all(f"\N{CHECK MARK} {step}" in rows[0] for step in ("validate", "compile", "pack", "load"))
    assert "project" in rows[1]
    assert "drawn" in out


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # how a terminal says that the other end has been closed
        return b""


def test_a_project_of_init_deploys_and_answers(faas: Faas, tmp_path: Path) -> None:
    faas("init", tmp_path / "greeter")
    (function,) = loading.load(tmp_path / "greeter").functions
    assert faas("deploy", tmp_path / "greeter").returncode == 0
    answer = json.loads(faas("invoke", function.name, "--data", '{"name": "Ada"}', "--json").stdout)
    assert answer["result"] == {"message": "Hello, Ada!", "invocation_id": answer["invocation_id"]}


def test_what_a_deploy_leaves_behind_and_takes_over_is_said_until_it_is_mended(faas: Faas, tmp_path: Path) -> None:
    folder = write(tmp_path / "mine", "stays", GOOD.format(count=1))
    manifest = folder / "faas.yaml"
    one = manifest.read_text()
    route = "triggers: [http: {path: /leaves}]"
    manifest.write_text(f"{one}\n  leaves: {{runtime: python3, handler: app.handler, {route}}}\n")
    assert "left behind" not in faas("deploy", folder).stderr
    manifest.write_text(one)
    for _ in range(2):
        said = faas("deploy", folder).stderr
        assert "left behind: leaves stands in faas.yaml no more, serves on and runs on http ANY /leaves\n" in said
        assert "remove it with `faas rm leaves`" in said
    told = json.loads(faas("deploy", folder, "--json").stdout)
    assert told["left_behind"] == [{"function": "leaves", "triggers": ["http ANY /leaves"]}]
    other = write(tmp_path / "other", "stays", GOOD.format(count=2))
    assert f"took over: stays was deployed from {manifest} before\n" in faas("deploy", other).stderr
    assert "took over" not in faas("deploy", other).stderr
    assert faas("rm", "leaves", "--yes").returncode == 0
    assert "left behind" not in faas("deploy", folder).stderr


def test_what_is_left_out_of_a_source_is_said_and_outputs_in_it_make_no_new_revision(
    faas: Faas, root: Path, tmp_path: Path
) -> None:
    folder = write(tmp_path, "clean", GOOD.format(count=1))
    with (folder / "faas.yaml").open("a") as manifest:
        manifest.write("\nbuckets: {clean-out: {}}\n")
    (folder / ".env").write_text("TOKEN=1")
    (folder / ".gitignore").write_text("*.secret\n")
    (folder / "x.secret").write_text("")
    said = faas("deploy", folder).stderr.splitlines()
    assert "left out, secrets and keys, which never leave: .env" in said
    assert "left out, by .gitignore: x.secret" in said
    made = root / "d" / "buckets" / "clean-out" / "in" / "thumb.webp"
    made.parent.mkdir(parents=True)
    made.write_text("x")
    for command in (("cp", "clean-out:in/thumb.webp", folder), ("cp", "-r", "clean-out:", folder / "out")):
        assert faas(*command).returncode == 0
    (folder / "up.log").write_text("x")
    told = json.loads(faas("deploy", folder, "--json").stdout)
    assert [each["changed"] for each in told["functions"]] == [False]
    assert sorted(told["left_out"]["copied out of buckets by `faas cp`"]) == ["out/in/thumb.webp", "thumb.webp"]


@pytest.mark.parametrize(("existing", "said"), [("skip", "skips 3 objects"), ("run", "runs for 3 objects")])
def test_a_deploy_says_what_a_new_upload_trigger_does_about_what_is_there(
    faas: Faas, root: Path, tmp_path: Path, existing: str, said: str
) -> None:
    bucket = f"was-there-{existing}"
    for name in ("in/a.txt", "in/b.txt", "in/c.txt", "in/d.txt.part", "in/e.png", "f.txt"):
        path = root / "d" / "buckets" / bucket / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    trigger = f"triggers: [upload: {{bucket: {bucket}, prefix: in/, suffix: .txt, existing: {existing}}}]"
    folder = write(tmp_path, f"reads-{existing}", GOOD.format(count=1), f"buckets: {{{bucket}: read}}\n    {trigger}")
    with (folder / "faas.yaml").open("a") as manifest:
        manifest.write(f"\nbuckets: {{{bucket}: {{}}}}\n")
    assert f"reads-{existing}: upload {bucket}/in/*.txt {said} that are there already" in faas("deploy", folder).stderr
    assert "there already" not in faas("deploy", folder).stderr
    if existing == "run":
        eventually_sync(lambda: len(json.loads(faas("records", "reads-run", "--json").stdout)) == 3, within=20)
    else:
        (root / "d" / "buckets" / bucket / "in" / "new.txt").write_text("x")
        (only,) = eventually_sync(lambda: json.loads(faas("records", "reads-skip", "--json").stdout), within=20)
        assert only["object"] == f"{bucket}/in/new.txt"
