"""What is asked in the same words means the same, whoever takes it, and becomes an invocation in one place."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from faas.core import errors, model
from faas.core.calls import calling, faults
from faas.core.http import headers

ROOT = Path(__file__).parents[2]
SYNC, ASYNC = model.Mode.SYNC, model.Mode.ASYNC
MINUTE_MS = 60_000
REVISION = model.Revision(
    function="hello",
    number=3,
    artifact="0" * 64,
    config=model.FunctionConfig(runtime="python3", handler="app.handler"),
    created_at_ms=1,
)
WHOLE = {"id": "i", "mode": ASYNC, "event": b"{}", "at_ms": 7}


@pytest.mark.parametrize(
    ("fields", "asked"),
    [
        ({}, calling.Asked(SYNC, 0, None)),
        ({"faas-invocation-type": "Async"}, calling.Asked(ASYNC, 0, None)),
        ({"faas-delay": "1m"}, calling.Asked(ASYNC, MINUTE_MS, None)),
        ({"faas-delay": "1m", "faas-invocation-type": "async"}, calling.Asked(ASYNC, MINUTE_MS, None)),
        ({"faas-invocation-type": "sync", "idempotency-key": "k"}, calling.Asked(SYNC, 0, "k")),
    ],
)
def test_what_header_fields_ask_for(fields: dict[str, str], asked: calling.Asked) -> None:
    assert calling.asked(fields) == asked


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"faas-invocation-type": "maybe"}, "found 'maybe', expected sync or async"),
        ({"faas-invocation-type": ""}, "found '', expected sync or async"),
        ({"faas-invocation-type": "sync", "faas-delay": "1m"}, "only an async call can be delayed"),
        ({"faas-delay": "soon"}, "Faas-Delay: found 'soon'"),
        ({"faas-delay": ""}, "Faas-Delay: found ''"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(fields: dict[str, str], why: str) -> None:
    with pytest.raises(errors.BadRequest, match=why):
        calling.asked(fields)


def test_an_invocation_is_made_of_all_that_was_asked() -> None:
    chain = calling.Chain(2, "parent", "root")
    made = calling.invocation(REVISION, **WHOLE, way="http", place=1, reply_to="r", client_context="{}", chain=chain)
    assert msgspec.structs.asdict(made) == {
        "id": "i",
        "function": "hello",
        "revision": 3,
        "trigger": "http",
        "mode": ASYNC,
        "event": b"{}",
        "accepted_at_ms": 7,
        "attempt": 1,
        "depth": 2,
        "reply_to": "r",
        "client_context": "{}",
        "parent_id": "parent",
        "root_id": "root",
        "trigger_place": 1,
        "caller": None,
        "object": None,
        "trace": None,
    }


def test_an_invocation_that_follows_from_none_is_the_same_by_the_short_way() -> None:
    given = {**WHOLE, "way": "timer", "place": 0, "reply_to": "r"}
    assert calling.invocation(REVISION, **given) == calling.invocation(REVISION, **given, chain=calling.Chain())
    context = calling.invocation(REVISION, **given, client_context="{}")
    assert (context.client_context, context.depth, context.parent_id) == ("{}", 0, None)


def test_a_chain_grows_by_a_link_and_keeps_its_first() -> None:
    first = calling.invocation(REVISION, **WHOLE, way="http")
    second = calling.invocation(REVISION, **{**WHOLE, "id": "j"}, way="destination", chain=calling.after(first))
    third = calling.after(second)
    assert (second.depth, second.parent_id, second.root_id) == (1, "i", "i")
    assert third == calling.Chain(2, "j", "i")


def test_a_dead_one_runs_again_by_the_revision_of_today_in_its_chain() -> None:
    dead = msgspec.structs.replace(
        calling.invocation(REVISION, **WHOLE, way="timer", place=1, chain=calling.Chain(2, "p", "r")), attempt=3
    )
    newer = msgspec.structs.replace(REVISION, number=4)
    again = calling.again(dead, newer, id="new", at_ms=9)
    assert (again.id, again.revision, again.attempt, again.accepted_at_ms) == ("new", 4, 1, 9)
    assert again.trigger_place is None, "the triggers of today may stand elsewhere"
    assert (again.trigger, again.event, again.depth, again.parent_id, again.root_id) == ("timer", b"{}", 2, "p", "r")


@pytest.mark.parametrize("given", [b"", b"{'a': 1}", b'"\xff"', b"1 2", b"[" * 3000])
def test_what_is_no_json_is_no_event(given: bytes) -> None:
    with pytest.raises(errors.BadRequest, match="not JSON") as refused:
        calling.json_event(given, "quote it")
    assert refused.value.hint == "quote it"


@pytest.mark.parametrize("given", ["%", "e30", "e2E=", "e30\u00e9"])
def test_a_client_context_is_json_in_base64(given: str) -> None:
    assert calling.client_context({}) is None
    assert calling.client_context({"faas-client-context": "e30="}) == "{}"
    with pytest.raises(errors.BadRequest, match="expected JSON in base64"):
        calling.client_context({"faas-client-context": given})


@pytest.mark.parametrize("status", model.Status)
def test_the_end_of_every_attempt_has_its_fault_and_its_error(status: model.Status) -> None:
    if status is model.Status.OK:
        assert faults.of(status) is None
        return
    error = faults.error(status, "hello", "why not", type="T")
    assert error.fault is faults.of(status)
    assert error.message.endswith(": why not") and error.data == {"type": "T"}
    is_lost = status in (model.Status.LOST, model.Status.REJECTED)
    assert error.fault is (errors.Fault.PLATFORM if is_lost else errors.Fault.FUNCTION)


def test_invocations_are_made_and_header_fields_named_in_one_place() -> None:
    names = {value.lower() for name, value in vars(headers).items() if name.isupper()}
    spelled = {path for path, node in nodes() if isinstance(node, ast.Constant) and str(node.value).lower() in names}
    made = {path for path, node in nodes() if isinstance(node, ast.Call) and ast.unparse(node.func) in MAKERS}
    # A journal has its begun calls without their events; who a request comes from is told by no key.
    assert made == {"faas/core/calls/calling.py", "runners/journal/format.py"}
    assert spelled == {"faas/core/http/headers.py", "triggers/gateway/identity.py"}


MAKERS = {"model.Invocation", "_Invocation"}


def nodes() -> Iterator[tuple[str, ast.AST]]:
    """All that stands in the platform's code, by the file in which it does."""
    for package in ("faas", "triggers", "runners"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                yield path.relative_to(ROOT).as_posix(), node
