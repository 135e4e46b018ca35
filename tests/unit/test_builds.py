from __future__ import annotations

from typing import Any

import msgspec
import pytest

from faas.builds import checks, progress, runtimes
from faas.cli import languages
from faas.core import errors, ids, model
from faas.runtimes import installed
from faas.runtimes.python import target

KNOWN = languages.known("")
AVAILABLE = runtimes.known(
    [installed.Installed(name="python3.9"), installed.Installed(name="python3.11", machine="aarch64")], KNOWN
)


def function(name: str, **config: Any) -> model.FunctionSpec:
    made = model.FunctionConfig(runtime="python3", handler="app.handler", **config)
    return model.FunctionSpec(name=name, source=".", config=made)


def deployed(name: str, **config: Any) -> model.Revision:
    made = function(name, **config).config
    return model.Revision(function=name, number=1, artifact="0" * 64, config=made, created_at_ms=0)


def test_python3_takes_the_newest_python_and_a_version_takes_that_one() -> None:
    assert runtimes.choose("python3", AVAILABLE).name == "python3.11"
    assert runtimes.choose("python3.9", AVAILABLE).name == "python3.9"


@pytest.mark.parametrize("runtime", ["python3.12", "python3.1", "nodejs20", "python", "python2.7", ""])
def test_a_runtime_that_no_node_has_is_refused_and_those_that_exist_are_named(runtime: str) -> None:
    with pytest.raises(errors.BuildFailed, match=r"the sandboxes have python3\.9, python3\.11"):
        runtimes.choose(runtime, AVAILABLE)


def test_a_platform_without_nodes_says_so() -> None:
    with pytest.raises(errors.Unavailable, match="no node"):
        runtimes.choose("python3", [])


def test_what_nodes_publish_is_understood_whatever_else_they_add() -> None:
    published = {
        b"python3.11": b'{"machine": "x86_64"}',
        b"python3.12": b'{"machine": "arm64", "libc": "musl", "image": "x"}',
        b"cobol85": b"{}",
    }
    one, other = runtimes.known(installed.decode(published), KNOWN)
    platforms = [target.of(each.has).platform for each in (one, other)]
    assert platforms == ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-musl"]


def test_a_machine_without_wheels_is_told() -> None:
    with pytest.raises(errors.BuildFailed, match="s390x"):
        _ = target.Target(python="3.11", machine="s390x").platform


@pytest.mark.parametrize(
    ("project", "sources", "said"),
    [
        (model.Project(functions=()), [], "no functions"),
        (
            model.Project(functions=tuple(function(f"f{n}") for n in range(1001))),
            [],
            "1001 functions, and .* at most 1000",
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
        *(
            (
                model.Project(functions=(function("a", triggers=(trigger,)),), buckets=(model.Bucket(name="in"),)),
                ["a"],
                f"a: {said}",
            )
            for trigger, said in (
                (model.HttpTrigger(path="/*"), "path: found '/\\*', expected a path whose last"),
                (model.HttpTrigger(path="/a", cors=model.Cors(origins=("a.example",))), "origins: found 'a.example'"),
                (model.UploadTrigger(bucket="in", prefix="/in/"), "prefix: found '/in/', expected the beginning"),
                (model.UploadTrigger(bucket="in", suffix=(".a", "*.b")), "suffix: found '\\*.b', expected the end"),
                (model.UploadTrigger(bucket="in", suffix=(".part",)), "suffix: found '.part', .* unfinished files"),
                (model.TimerTrigger(cron="*/90 * * * *"), "cron: found .* bad minute"),
            )
        ),
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
        checks.check_routes(new, checks.owners([other, old], ["new"]))
    checks.check_routes(new, checks.owners([other, old], ["new", "old"]))
    checks.check_routes(new, checks.owners([other, deployed("new", triggers=new.config.triggers)], ["new"]))
    checks.check_routes(new, checks.owners([other, deployed("new", triggers=new.config.triggers)], []))


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
    told: list[progress.Change] = []
    steps = progress.Progress(told.extend)
    planned = progress.planned(ids.new_id(), ["f"])
    steps.begin()
    with steps.step("f", "validate") as note:
        note("fine")
    steps.skip({("f", "resolve"): "none"})
    with pytest.raises(ZeroDivisionError), steps.step("f", "compile"):
        _ = 1 // 0
    steps.fail(errors.BuildFailed("no", hint="h", function="f"))
    last = progress.changed(planned, told)
    assert [step.state.value for step in last.steps] == ["done", "skipped", "failed", "waiting", "waiting", "waiting"]
    assert last.error == {"code": "build_failed", "message": "no", "hint": "h", "function": "f"}
    assert (last.steps[0].note, last.changes) == ("fine", len(told))
    assert msgspec.convert(msgspec.to_builtins(last), progress.Deployment) == last
    steps.begin()
    again = progress.changed(planned, told)
    assert (again.state, again.error) == (progress.State.RUNNING, None)
    assert {step.state for step in again.steps} == {progress.StepState.WAITING}


def test_what_was_told_after_some_changes_is_the_steps_of_the_later_ones() -> None:
    told: list[progress.Change] = []
    steps = progress.Progress(told.extend)
    id = ids.new_id()
    planned = progress.planned(id, ["f", "g"])
    steps.begin()
    with steps.step("f", "validate"):
        pass
    steps.skip({("g", "resolve"): "none"})
    steps.end([])
    whole = progress.changed(planned, told)
    for since in range(1, len(told) + 1):
        later = progress.later(id, since, told[since - 1 :])
        assert later is not None
        seen = progress.changed(planned, told[:since])
        merged = {(step.function, step.name): step for step in (*seen.steps, *later.steps)}
        assert tuple(merged.values()) == whole.steps
        assert msgspec.structs.replace(later, steps=whole.steps) == whole
    assert len(progress.later(id, len(told), told[-1:]).steps) == 0  # type: ignore[union-attr]
    assert progress.later(id, len(told) + 1, []) is None
    steps.begin()
    assert progress.later(id, 2, told[1:]) is None


def test_a_change_costs_the_bytes_of_one_step_however_many_functions_there_are() -> None:
    def told_bytes(functions: int) -> float:
        told: list[progress.Change] = []
        steps = progress.Progress(told.extend)
        for number in range(functions):
            with steps.step(f"f{number}", "validate"):
                pass
        return sum(len(msgspec.json.encode(change)) for change in told) / functions

    assert told_bytes(1000) < 1.1 * told_bytes(10)


def test_a_function_without_a_source_has_to_name_a_tar_by_its_sha256() -> None:
    named = msgspec.structs.replace(function("named"), source="0" * 64)
    made = model.Project(functions=(function("unsent"), named, function("sent")))
    assert checks.without_source(made, ["sent"]) == ["unsent"]
