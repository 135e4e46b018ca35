"""The tree of errors: whose fault each is, how it is answered, and how another process understands it."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import msgspec
import pytest

from faas.api import answers
from faas.artifacts import tarball
from faas.cli import client
from faas.core import errors
from runners.sandbox import base
from triggers.gateway import answering

ROOT = Path(__file__).parents[2]
ELSEWHERE = (tarball.BadTar, base.EngineUnavailable, base.SandboxLost)
KINDS = [kind for kind in errors.kinds() if kind.__module__ == errors.__name__ or kind in ELSEWHERE]
OF_THE_CLASS = {"fault", "code", "http_status", "exit_code"}


def made(kind: type[errors.FaasError]) -> errors.FaasError:
    if issubclass(kind, errors.ManifestErrors):
        return kind([errors.ManifestError("faas.yaml:1:1: found X, expected Y", line=1)])
    return kind("no", hint="do", **({"allow": "GET"} if kind is errors.MethodNotAllowed else {}))


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_answers_with_its_fault_status_and_code(kind: type[errors.FaasError]) -> None:
    error = made(kind)
    gateway, api = answering.of_error(error, "an-id"), answers.failure(error)
    body = api.body
    assert isinstance(body, bytes)
    expected = "function" if issubclass(kind, errors.FunctionFault) else "platform"
    assert dict(gateway.headers)["Faas-Error"] == api.headers["Faas-Error"] == expected
    assert gateway.status == api.status == kind.http_status
    for content in (gateway.body, body):
        told = msgspec.json.decode(content)["error"]
        assert (told["code"], told["message"]) == (kind.code, error.message)


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_is_the_fault_of_one_and_that_follows_from_its_class(kind: type[errors.FaasError]) -> None:
    is_callers, is_functions = issubclass(kind, errors.CallerFault), issubclass(kind, errors.FunctionFault)
    assert not (is_callers and is_functions)
    whose = errors.Fault.CALLER if is_callers else errors.Fault.FUNCTION if is_functions else errors.Fault.PLATFORM
    assert kind.fault is whose
    if kind.http_status < 500 and not issubclass(kind, errors.Throttled | errors.BuildFailed):
        assert is_callers, "a status below 500 says that the caller can do something about it"


def test_nobody_changes_an_error_that_is_made() -> None:
    """mypy sees it as well, as they are class variables; not where a value is Any."""
    found = []
    for package in ("faas", "triggers", "runners"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                targets: list[Any] = node.targets if isinstance(node, ast.Assign) else []
                found += [path for each in targets if isinstance(each, ast.Attribute) and _is_of_another(each)]
    assert not found


def _is_of_another(target: ast.Attribute) -> bool:
    """Whether a class variable of errors is set on something else than the one whose constructor this may be."""
    return target.attr in OF_THE_CLASS and ast.unparse(target.value) != "self"


@pytest.mark.parametrize("kind", KINDS)
def test_what_another_process_says_is_the_error_that_it_had(kind: type[errors.FaasError]) -> None:
    error = made(kind)
    told = client.error_of(error.http_status, msgspec.json.encode(error.body("an-id")))
    assert (told.http_status, told.exit_code) == (error.http_status, error.exit_code)
    assert told.body() == error.body("an-id")
    assert kind in errors.kinds(type(told)) or kind is errors.ManifestErrors


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("of_next_year", 503, errors.Unavailable),
        ("of_next_year", 404, errors.NotFound),
        ("of_next_year", 418, errors.BadRequest),
        ("of_next_year", 599, errors.FaasError),
        ("timed_out", 504, errors.TimedOut),
    ],
)
def test_a_code_that_nobody_knows_here_is_told_on_as_it_is(
    code: str, status: int, kind: type[errors.FaasError]
) -> None:
    told = errors.told({"code": code, "message": "no", "hint": "do", "limit": 7}, status)
    assert type(told) is kind
    assert told.body()["error"] == {"code": code, "message": "no", "hint": "do", "limit": 7}


@pytest.mark.parametrize(
    "content", [b"", b"<html>", b"[]", b'{"error": 7}', b'{"other": {}}', b"\xff", b'{"error": {}}']
)
def test_an_answer_that_is_no_error_body_is_an_error_all_the_same(content: bytes) -> None:
    told = client.error_of(502, content)
    assert isinstance(told, errors.FaasError) and told.http_status == 502
    assert told.message


def test_an_error_that_two_rooms_share_is_met_once_and_the_uppermost_first() -> None:
    kinds = list(errors.kinds())
    assert len(kinds) == len(set(kinds))
    assert kinds.index(errors.TimedOut) < kinds.index(errors.FunctionTimedOut)
    assert kinds[0] is errors.FaasError
