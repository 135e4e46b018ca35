"""Alarms in a manifest and in the platform's own file, and which of them a deploy declares and removes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest

from faas.alerts import own_file
from faas.builds import alarms as deployed
from faas.builds import checks
from faas.core import errors, model
from faas.core.manifest import loading, table
from faas.store import alarm_changes, alarms

FUNCTION = "    runtime: python3\n    handler: app.handler\n"


def load(folder: Path, alarms: str = "", of_function: str = "") -> tuple[model.Alarm, ...]:
    """The alarms of a manifest with the functions one and two."""
    text = f"buckets: {{told: {{}}}}\nfunctions:\n  one:\n{FUNCTION}{of_function}  two:\n{FUNCTION}{alarms}"
    return loading.parse(text.encode(), folder / "faas.yaml").alarms


def faults(folder: Path, alarms: str = "", of_function: str = "") -> list[str]:
    with pytest.raises(errors.ManifestErrors) as caught:
        load(folder, alarms, of_function)
    return [one.message.partition("faas.yaml:")[2] for one in caught.value.errors]


def test_an_alarm_of_a_function_has_its_name_and_is_on_it(tmp_path: Path) -> None:
    found = load(tmp_path, of_function="    alarms:\n      slow: {rule: p99 > 800ms for 5m, remind: 1h}\n")
    assert found == (model.Alarm(name="one.slow", rule="p99 > 800ms for 5m", function="one", remind_ms=3_600_000),)
    assert "alarms" not in model.FunctionConfig.__struct_fields__, "another threshold makes no revision"


def test_an_alarm_of_a_manifest_is_on_all_together_on_each_or_on_one(tmp_path: Path) -> None:
    found = load(
        tmp_path,
        "alarms:\n"
        "  all: {rule: errors > 10}\n"
        "  each: {rule: errors > 10, each: true}\n"
        "  two: {rule: errors > 10, function: two}\n"
        "  room: {rule: disk > 90%}\n",
    )
    names = ("one", "two")
    assert [(each.name, each.function, each.functions, each.each) for each in found] == [
        ("all", None, names, False), ("each", None, names, True), ("two", "two", names, False),
        ("room", None, names, False),
    ]  # fmt: skip


def test_a_text_alone_is_the_rule(tmp_path: Path) -> None:
    of_function = "    alarms: {slow: p99 > 800ms, errors: error_rate > 5% for 5m}\n"
    found = load(tmp_path, "alarms: {room: disk > 90%}\n", of_function)
    assert [(each.name, each.rule) for each in found] == [
        ("room", "disk > 90%"), ("one.slow", "p99 > 800ms"), ("one.errors", "error_rate > 5% for 5m")
    ]  # fmt: skip
    (fault,) = faults(tmp_path, "alarms: {room: disk > full}\n")
    assert fault.startswith('9:16: alarms.room.rule: found "disk > full", expected a share')
    for schema in (table.json_schema()["properties"]["alarms"],):
        jsonschema.validate({"room": "disk > 90%", "other": {"rule": "count > 1"}}, schema)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({"room": 5}, schema)


def test_who_is_told(tmp_path: Path) -> None:
    def told(notify: str) -> Any:
        return load(tmp_path, f"alarms:\n  a: {{rule: count > 1{notify}}}\n")[0].notify

    assert told("") == (model.ToLog(),)
    assert told(", notify: {function: two}") == (model.ToFunction(function="two"),)
    assert told(", notify: {log: false}") == ()
    assert told(', notify: [{url: "https://example.com/hook"}, {bucket: told, prefix: a/}, {log: true}]') == (
        model.ToUrl(url="https://example.com/hook"), model.ToBucket(bucket="told", prefix="a/"), model.ToLog(),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("{rule: error_rate > 5}", '10:13: alarms.a.rule: found "error_rate > 5", expected a share from 0% to 100%'),
        ("{notify: {log: true}}", "alarms.a.rule: found nothing, expected this key"),
        ("{rule: count > 1, function: three}", "found the unknown function three, expected one of one, two"),
        ("{rule: count > 1, function: one, each: true}", "found each together with function, expected one of the two"),
        ("{rule: disk > 90%, each: true}", "alarms.a.rule: found disk, expected a figure that functions have"),
        ("{rule: doctor.disk is not ok, function: one}", "found doctor.disk, expected a figure that functions have"),
        ("{rule: count > 1, notify: {bucket: nowhere}}", "found the unknown bucket nowhere, expected one of told"),
        ("{rule: count > 1, notify: {function: two, prefix: a/}}", "found prefix without bucket"),
        ("{rule: count > 1, notify: {function: two, log: true}}", "exactly one of function, bucket, url, log"),
        ("{rule: count > 1, notify: {url: ftp://a}}", "expected a URL like https://example.com/hook"),
        ("{rule: count > 1, remind: 1s}", "expected a duration from 1min to 31d"),
        ("{rule: count > 1, when: always}", "found an unknown key"),
        ("[]", "expected a mapping with rule"),
    ],
)
def test_a_fault_of_an_alarm_is_named_where_it_stands(tmp_path: Path, written: str, expected: str) -> None:
    assert any(expected in fault for fault in faults(tmp_path, f"alarms:\n  a: {written}\n")), faults(
        tmp_path, f"alarms:\n  a: {written}\n"
    )


def test_an_alarm_in_a_functions_block_is_on_that_function_only(tmp_path: Path) -> None:
    block = "    alarms:\n      a: {rule: %s}\n"
    assert "found disk, expected a figure that functions have" in faults(tmp_path, "", block % "disk > 90%")[0]
    assert "an unknown key" in faults(tmp_path, "", block % "count > 1, each: true")[0]


def test_the_platforms_own_file_has_alarms_and_tells_its_faults() -> None:
    found = own_file.parse(
        b"alarms:\n  room: {rule: disk > 90%}\n  each: {rule: errors > 9, each: true}\n", "alarms.yaml"
    )
    assert [(each.name, each.functions, each.each) for each in found] == [("room", (), False), ("each", (), True)]
    assert own_file.parse(b"", "alarms.yaml") == ()
    for text, expected in (
        (b"alarms: [", "alarms.yaml:1:"),
        (b"alarms:\n  a: {rule: x}\n", "alarms.yaml:2:13: alarms.a.rule: found"),
        (b"alarm: {}\n", "did you mean alarms?"),
        (b"alarms:\n  a: {rule: disk > 9%, each: true}\n", "alarms.yaml:2:6: alarms.a.rule: found disk"),
    ):
        with pytest.raises(errors.ManifestErrors, match=r"alarms\.yaml") as caught:
            own_file.parse(text, "alarms.yaml")
        assert expected in caught.value.message


SPEC = model.FunctionConfig(runtime="python3", handler="a.b")


def project(*names: str, alarms: tuple[model.Alarm, ...] = ()) -> model.Project:
    specs = tuple(model.FunctionSpec(name=name, source="x", config=SPEC) for name in names)
    return model.Project(functions=specs, buckets=(model.Bucket(name="told"),), alarms=alarms)


def of_function(name: str, function: str, rule: str = "count > 1") -> model.Alarm:
    return model.Alarm(name=f"{function}.{name}", rule=rule, function=function)


def of_project(name: str, *functions: str, rule: str = "count > 1") -> model.Alarm:
    return model.Alarm(name=name, rule=rule, functions=functions)


def held(alarm: model.Alarm, kind: alarms.AlarmKind | None = None) -> alarms.Declared:
    return alarms.Declared(alarm=alarm, kind=kind or deployed._kind(alarm), declared_at_ms=1)


def changes(made: model.Project, *before: alarms.Declared, serving: str = "abc") -> alarm_changes.AlarmChanges:
    return deployed.changes(made, before, set(serving), {"a": 7}, 99)


def test_a_deploy_declares_what_is_new_or_another_and_leaves_the_same_alone() -> None:
    same, new = of_function("same", "a"), of_function("new", "a")
    other = of_function("other", "a", "count > 2")
    found = changes(project("a", alarms=(same, new, other)), held(same), held(of_function("other", "a")))
    assert [(each.alarm, each.revision, each.declared_at_ms) for each in found.declared] == [
        (new, 7, 99), (other, 7, 99)
    ]  # fmt: skip
    assert found.removed == ()
    assert changes(project("a", alarms=(same,)), held(same)) == alarm_changes.NONE


def test_a_deploy_removes_what_it_no_longer_declares_and_nothing_of_others() -> None:
    before = (
        held(of_function("gone", "a")), held(of_function("kept", "b")), held(of_project("mine", "a", "x")),
        held(of_project("shared", "a", "b")), held(of_project("theirs", "b")),
        held(model.Alarm(name="room", rule="disk > 90%"), alarms.AlarmKind.PLATFORM),
    )  # fmt: skip
    assert changes(project("a"), *before).removed == ("a.gone", "mine")
    assert changes(project("a", "b"), *before).removed == ("a.gone", "b.kept", "mine", "shared", "theirs")
    assert deployed.note(changes(project("a"), *before)) == "alarms removed: a.gone, mine"


def test_a_name_that_is_taken_is_refused() -> None:
    wanted = project("a", alarms=(of_project("x", "a"),))
    with pytest.raises(errors.Conflict, match="another manifest, with the functions b, c"):
        changes(wanted, held(of_project("x", "b", "c")))
    with pytest.raises(errors.Conflict, match=r"alarms\.yaml"):
        changes(wanted, held(model.Alarm(name="x", rule="disk > 90%"), alarms.AlarmKind.PLATFORM))


@pytest.mark.parametrize(
    ("alarm", "expected"),
    [
        (of_function("x", "z"), "z is no function of this project"),
        (of_function("x", "a", "nonsense"), "expected a figure first"),
        (model.Alarm(name="b.x", rule="count > 1", function="a"), "it belongs to no function"),
        (model.Alarm(name="x", rule="count > 1"), "it belongs to no function"),
        (of_project("X y", "a"), "its name is none"),
        (
            model.Alarm(name="x", rule="count > 1", functions=("a",), notify=(model.ToFunction(function="n"),)),
            "tells n",
        ),
        (model.Alarm(name="x", rule="count > 1", functions=("a",), notify=(model.ToBucket(bucket="n"),)), "bucket n"),
        (
            model.Alarm(name="x", rule="count > 1", functions=("a",), notify=(model.ToUrl(url="http://h/"),)),
            "FAAS_DESTINATION_SECRET",
        ),
    ],
)
def test_a_client_that_checks_nothing_is_refused_as_a_manifest_is(alarm: model.Alarm, expected: str) -> None:
    with pytest.raises(errors.BadRequest, match=expected):
        checks.check_alarms(project("a", alarms=(alarm,)), {"a"}, "")


def test_what_is_left_of_functions_that_ended_is_removed_and_the_platforms_own_stays() -> None:
    before = (
        held(of_function("x", "a")), held(of_project("both", "a", "b")), held(of_project("gone", "a")),
        held(model.Alarm(name="room", rule="errors > 1", function="a"), alarms.AlarmKind.PLATFORM),
    )  # fmt: skip
    assert alarm_changes.without(before, {"b"}) == ["a.x", "gone"]
