from __future__ import annotations

from typing import Any

import msgspec
import pytest

from faas.builds import checks, progress, runtimes
from faas.core import errors, model

AVAILABLE = [runtimes.RuntimeInfo(python="3.9"), runtimes.RuntimeInfo(python="3.11", machine="aarch64")]


def function(name: str, **config: Any) -> model.FunctionSpec:
    made = model.FunctionConfig(runtime="python3", handler="app.handler", **config)
    return model.FunctionSpec(name=name, source=".", config=made)


def deployed(name: str, **config: Any) -> model.Revision:
    made = function(name, **config).config
    return model.Revision(function=name, number=1, artifact="0" * 64, config=made, created_at_ms=0)


def test_python3_takes_the_newest_python_and_a_version_takes_that_one() -> None:
    assert runtimes.choose("python3", AVAILABLE).python == "3.11"
    assert runtimes.choose("python3.9", AVAILABLE).python == "3.9"


@pytest.mark.parametrize("runtime", ["python3.12", "python3.1", "nodejs20", "python", "python2.7", ""])
def test_a_runtime_that_no_node_has_is_refused_and_those_that_exist_are_named(runtime: str) -> None:
    with pytest.raises(errors.BuildFailed, match=r"the sandboxes have python3\.9, python3\.11"):
        runtimes.choose(runtime, AVAILABLE)


def test_a_platform_without_nodes_says_so() -> None:
    with pytest.raises(errors.Unavailable, match="no node"):
        runtimes.choose("python3", [])


def test_what_nodes_publish_is_understood_whatever_else_they_add() -> None:
    published = {b"3.11": b'{"machine": "x86_64"}', b"3.12": b'{"machine": "arm64", "libc": "musl", "image": "x"}'}
    one, other = runtimes.decode(published)
    assert (one.platform, other.platform) == ("x86_64-unknown-linux-gnu", "aarch64-unknown-linux-musl")


def test_a_machine_without_wheels_is_told() -> None:
    with pytest.raises(errors.BuildFailed, match="s390x"):
        _ = runtimes.RuntimeInfo(python="3.11", machine="s390x").platform


@pytest.mark.parametrize(
    ("project", "sources", "said"),
    [
        (model.Project(functions=()), [], "no functions"),
        (
            model.Project(functions=tuple(function(f"f{n}") for n in range(201))),
            [],
            "201 functions, and .* at most 200",
        ),
        (model.Project(functions=(function("../x"),)), ["../x"], "is no name"),
        (model.Project(functions=(function("a"), function("a"))), ["a"], "twice"),
        (model.Project(functions=(function("a"), function("b"))), ["a"], "no source for b"),
        (model.Project(functions=(function("a", buckets={"photos": model.Access.READ}),)), ["a"], "no bucket photos"),
        (
            model.Project(functions=(function("a", triggers=(model.UploadTrigger(bucket="in"),)),)),
            ["a"],
            "no bucket in",
        ),
        (model.Project(functions=(function("a"),), buckets=(model.Bucket(name="A/b"),)), ["a"], "is no name"),
    ],
)
def test_a_project_that_can_never_be_built_is_refused(project: model.Project, sources: list[str], said: str) -> None:
    with pytest.raises(errors.BadRequest, match=said):
        checks.check(project, sources)


def test_a_route_of_another_function_is_a_conflict_unless_that_one_is_replaced() -> None:
    new = function("new", triggers=(model.HttpTrigger(path="/t/{id}", methods=("GET",)),))
    old = deployed("old", triggers=(model.HttpTrigger(path="/t/{name}"),))
    other = deployed("other", triggers=(model.HttpTrigger(path="/t/{name}", methods=("PUT",)),))
    with pytest.raises(errors.Conflict, match="belongs to the function old"):
        checks.check_routes(new, [other, old], ["new"])
    checks.check_routes(new, [other, old], ["new", "old"])
    checks.check_routes(new, [other, deployed("new", triggers=new.config.triggers)], ["new"])


def test_a_bucket_that_others_use_does_not_move() -> None:
    here, there = model.Bucket(name="b"), model.Bucket(name="b", path="/elsewhere")
    checks.check_buckets([there], [here], used_by=[])
    checks.check_buckets([here], [here], used_by=["b"])
    with pytest.raises(errors.Conflict, match="other functions use it"):
        checks.check_buckets([there], [here], used_by=["b"])
    used = [deployed("f", buckets={"b": model.Access.READ})]
    assert checks.buckets_of(used, but=["f"]) == set()
    assert checks.buckets_of(used, but=[]) == {"b"}


def test_steps_are_told_as_they_happen_and_a_second_run_begins_anew() -> None:
    told: list[progress.Deployment] = []
    steps = progress.Progress(progress.planned("1", ["f"]), told.append)
    steps.begin()
    with steps.step("f", "validate") as note:
        note("fine")
    steps.skip("f", "resolve", "none")
    with pytest.raises(ZeroDivisionError), steps.step("f", "compile"):
        _ = 1 // 0
    steps.fail(errors.BuildFailed("no", hint="h", function="f"))
    last = told[-1]
    assert [step.state.value for step in last.steps] == ["done", "skipped", "failed", "waiting", "waiting", "waiting"]
    assert last.error == {"code": "build_failed", "message": "no", "hint": "h", "function": "f"}
    assert last.steps[0].note == "fine"
    assert msgspec.convert(msgspec.to_builtins(last), progress.Deployment) == last
    again = progress.Progress(last, told.append).deployment
    assert again.error is None
    assert {step.state for step in again.steps} == {progress.StepState.WAITING}
