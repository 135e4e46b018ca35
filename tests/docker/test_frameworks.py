"""Functions of the field's own libraries: deployed with their requirements, in real containers, called over HTTP."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import platform as platforms

pytestmark = pytest.mark.docker

FUNCTIONS = Path(__file__).parent.parent / "functions"
NAMES = ("powertools", "fastapi_mangum", "flask_wsgi", "django_wsgi")


def _function(name: str) -> dict[str, object]:
    return {
        "runtime": "python3",
        "source": name,
        "handler": "app.handler",
        "requirements": "requirements.txt",
        "memory": "256MB",
        "timeout": "20s",
        "triggers": [{"http": {"path": path}} for path in PATHS[name]],
    }


PATHS = {
    "powertools": ["/orders", "/orders/{number}"],
    "fastapi_mangum": ["/notes", "/notes/{name}", "/picture", "/broken"],
    "flask_wsgi": ["/hello/{name}", "/upload", "/bytes"],
    "django_wsgi": ["/items/{number}"],
}


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[platforms.Platform]:
    project = tmp_path_factory.mktemp("project")
    for name in NAMES:
        shutil.copytree(FUNCTIONS / name, project / name)
    with platforms.running(tmp_path_factory.mktemp("data"), "--engine", "docker") as made:
        made.deploy(project, {"functions": {name.replace("_", "-"): _function(name) for name in NAMES}})
        yield made


def test_powertools_routes_and_logs(platform: platforms.Platform) -> None:
    created = platform.call("/orders", b'{"a": 1}', headers={"Content-Type": "application/json"})
    assert (created.status, created.json()) == (201, {"created": {"a": 1}})
    answer = platform.call("/orders/7?fields=few")
    assert answer.json() == {"number": "7", "wanted": "few"}
    invocation_id = answer.headers["faas-invocation-id"]
    platform.record(invocation_id)
    lines = platform.json("logs", "powertools", "--invocation", invocation_id)
    assert any(line["text"].startswith("{") and "_aws" in json.loads(line["text"]) for line in lines)


def test_fastapi_answers_through_mangum(platform: platforms.Platform) -> None:
    answer = platform.call("/notes/first?q=a%20b")
    assert (answer.json()["name"], answer.json()["q"]) == ("first", "a b")
    assert answer.headers["set-cookie"] == "seen=first; Path=/; SameSite=lax"
    assert answer.json()["id"] == answer.headers["faas-invocation-id"]
    picture = platform.call("/picture")
    assert (picture.headers["content-type"], picture.body) == ("image/png", b"\x89PNG\x00\xff")
    assert platform.call("/broken").status == 500


def test_flask_answers_through_a_wsgi_adapter(platform: platforms.Platform) -> None:
    assert platform.call("/hello/you?q=1").json()["hello"] == "you"
    assert platform.call("/bytes").body == b"\x00\xff"


def test_django_answers_through_a_wsgi_adapter(platform: platforms.Platform) -> None:
    answer = platform.call("/items/7/", "ü".encode(), headers={"Content-Type": "text/plain; charset=utf-8"})
    assert answer.json() == {"following": 8, "method": "POST", "body": "ü"}
