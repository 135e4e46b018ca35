"""Who may deploy, or whose project is deployed, tries to have files of the machine; and to fill the platform's logs."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from faas.core import model
from tests import platform as platforms
from tests.eventually import eventually_sync

pytestmark = pytest.mark.docker

CODE = """
import os, threading, time

def tries(what):
    try:
        return repr(what())[:200]
    except BaseException as error:
        return f"{type(error).__name__}: {error}"

def handler(event, context):
    bucket = context.bucket("own")
    return [tries(lambda: bucket.read_bytes("token")), tries(lambda: list(bucket.list())),
            tries(lambda: bucket.write_text("planted", "x")), tries(lambda: bucket.delete("token"))]

def floods(event, context):
    def on():
        while True:
            os.write(1, b"x" * 60_000 + b"\\n")
    threading.Thread(target=on, daemon=True).start()
    return "begun"
"""
_TOLD = "may not be in"


def function(handler: str = "handler", **more: Any) -> dict[str, Any]:
    return {"runtime": "python3", "handler": f"app.{handler}", **more}


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[platforms.Platform]:
    data = tmp_path_factory.mktemp("data")
    for name in ("token", "engine-notes"):
        (data / name).write_text("secret\n")
        (data / name).chmod(0o666)
    data.chmod(0o777)
    with platforms.running(data, "--engine", "docker") as made:
        yield made


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "app.py").write_text(CODE)
    return folder


def deployed(platform: platforms.Platform, project: Path, path: str, *flags: str) -> tuple[int, str]:
    """Exit code and words of `faas deploy` with a bucket at a path."""
    declared = {"buckets": {"own": {"path": path}}, "functions": {"f": function(buckets={"own": "write"})}}
    (project / "faas.yaml").write_text(json.dumps(declared))
    done = platform.faas("deploy", str(project), *flags)
    return done.returncode, done.stderr


def sent(platform: platforms.Platform, path: str) -> platforms.Answer:
    """The answer of the control API to whom has its token, and says that a bucket is there."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        entry = tarfile.TarInfo("app.py")
        entry.size = len(CODE)
        tar.addfile(entry, io.BytesIO(CODE.encode()))
    source = hashlib.sha256(packed.getvalue()).hexdigest()
    config = model.FunctionConfig(runtime="python3", handler="app.handler", buckets={"own": model.Access.WRITE})
    made = model.Project(
        functions=(model.FunctionSpec(name="f", source=source, config=config),),
        buckets=(model.Bucket(name="own", path=path),),
    )
    parts = [("project", "", msgspec.json.encode(made)), ("source", f'; filename="{source}"', packed.getvalue())]
    body = b"".join(
        f'--b\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + content + b"\r\n"
        for name, more, content in parts
    )
    return platform.api(
        "/api/v1/deployments", body + b"--b--\r\n", "POST", {"Content-Type": "multipart/form-data; boundary=b"}
    )


@pytest.mark.parametrize(
    "path",
    [
        *("{data}", "{data}/..", "{data}/redis", "{data}/buckets"),
        *("/", "/etc", "/root", "/proc/self/root", "/proc/1", "/sys", "/dev/shm", "/run"),
        *("../..", "{project}/../elsewhere"),
    ],
)
def test_no_folder_of_the_machine_or_the_platform_becomes_a_bucket(
    path: str, platform: platforms.Platform, project: Path
) -> None:
    named = path.format(data=platform.data, project=project)
    for flags in ((), ("--yes",)):
        code, said = deployed(platform, project, named, *flags)
        assert (code, _TOLD in said) == (5, True), said
    if named.startswith("/"):
        answer = sent(platform, named)
        assert (answer.status, _TOLD in answer.json()["error"]["message"]) == (409, True)
    assert platform.json("ls") == []


def test_a_folder_of_the_project_is_a_bucket_once_somebody_agreed_and_no_link_leads_out_of_it(
    platform: platforms.Platform, project: Path, tmp_path: Path
) -> None:
    code, said = deployed(platform, project, "inbox")
    assert (code, "nobody is here to agree" in said, "--yes" in said) == (5, True, True)
    assert sent(platform, str(project / "inbox")).status == 409, "who has only the token agrees to nothing"
    assert deployed(platform, project, "inbox", "--yes")[0] == 0
    (project / "inbox").mkdir(exist_ok=True)
    (project / "inbox" / "token").write_text("public")
    assert "public" in platform.json("invoke", "f")["result"][0]
    assert deployed(platform, project, "inbox")[0] == 0, "once is enough"
    (project / "inbox").rename(tmp_path / "away")
    (project / "inbox").symlink_to(platform.data)
    answers = platform.json("invoke", "f")["result"]
    assert all(_TOLD in answer for answer in answers), answers
    assert platform.api("/buckets/own/token").status == 409
    assert platform.api("/buckets/own").status == 409
    assert not (platform.data / "planted").exists()
    facts = {fact["name"]: fact for fact in json.loads(platform.faas("doctor", "--json").stdout)["facts"]}
    assert facts["bucket"]["state"] == "failed"
    assert _TOLD in facts["bucket"]["text"]
    platform.faas("rm", "f")


@pytest.mark.parametrize("target", ["/etc/passwd", "/etc", "{data}/token", "../secret", "../../.."])
def test_a_link_that_leaves_a_project_is_not_packed(target: str, platform: platforms.Platform, project: Path) -> None:
    (project.parent / "secret").write_text("secret")
    (project / "link").symlink_to(target.format(data=platform.data))
    (project / "faas.yaml").write_text(json.dumps({"functions": {"f": function()}}))
    done = platform.faas("deploy", str(project))
    assert done.returncode == 2
    assert "is a link that leaves the project" in done.stderr


def test_a_function_that_prints_without_end_between_attempts_fills_no_log(
    platform: platforms.Platform, project: Path
) -> None:
    platform.deploy(project, {"functions": {"floods": function("floods", triggers=[{"http": {"path": "/floods"}}])}})
    for _ in range(150):  # what it has printed since the last attempt goes to the log with each one
        assert platform.call("/floods").status == 200
    assert platform.logs().count("sandbox_output") >= 2
    assert (platform.data / "logs" / "node.log").stat().st_size < 300_000


def test_a_data_directory_that_was_open_is_closed(platform: platforms.Platform) -> None:
    assert platform.data.stat().st_mode & 0o777 == 0o700
    others = [path for path in platform.data.iterdir() if path.name != "buckets" and not path.is_symlink()]
    assert others
    assert [path.name for path in others if path.stat().st_mode & 0o077] == []
    logs = [path for path in (platform.data / "logs").iterdir() if path.stat().st_mode & 0o077]
    assert logs == []
    eventually_sync(platform.conserved, within=60)
