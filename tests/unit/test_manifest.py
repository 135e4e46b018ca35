"""The manifest: what a good one becomes, and that every fault of a bad one is named where it stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
import yaml
from hypothesis import HealthCheck, given, settings, strategies

from faas.core import errors, model
from faas.core.manifest import loading, table

_ISSUE = """\
buckets:
  photos: {}
  thumbs: {}
functions:
  transcode:
    runtime: python3.11
    handler: app.handler
    source: ./transcode
    requirements: requirements.txt
    memory: 512MB
    timeout: 60s
    env: {QUALITY: "80"}
    buckets: {photos: read, thumbs: write}
    triggers:
      - upload: {bucket: photos, prefix: in/, suffix: [.jpg, .png]}
      - http: {path: "/thumb/{name}", methods: [GET]}
      - timer: {cron: "*/5 * * * *", timezone: Europe/Vienna, on_missed: once}
      - timer: {every: 10s}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "transcode").mkdir()
    (tmp_path / "transcode" / "requirements.txt").touch()
    return tmp_path


def _load(folder: Path, text: str) -> model.Project:
    (folder / "faas.yaml").write_text(text)
    return loading.load(folder)


def _function(line: str, extra: str = "") -> str:
    return f"functions:\n  one:\n    runtime: python3\n    handler: app.handler\n    {line}\n{extra}"


def _config(folder: Path, line: str) -> model.FunctionConfig:
    return _load(folder, _function(line)).functions[0].config


def _faults(folder: Path, text: str) -> list[str]:
    with pytest.raises(errors.ManifestErrors) as caught:
        _load(folder, text)
    return [fault.message.removeprefix(f"{folder}/") for fault in caught.value.errors]


def test_the_manifest_of_the_documentation_becomes_the_model(folder: Path) -> None:
    project = _load(folder, _ISSUE)
    assert project.buckets == (model.Bucket(name="photos"), model.Bucket(name="thumbs"))
    (spec,) = project.functions
    assert (spec.name, spec.source, spec.requirements) == ("transcode", str(folder / "transcode"), "requirements.txt")
    assert spec.config == model.FunctionConfig(
        runtime="python3.11",
        handler="app.handler",
        memory_mb=512,
        timeout_ms=60_000,
        env={"QUALITY": "80"},
        buckets={"photos": model.Access.READ, "thumbs": model.Access.WRITE},
        triggers=(
            model.UploadTrigger(bucket="photos", prefix="in/", suffix=(".jpg", ".png")),
            model.HttpTrigger(path="/thumb/{name}", methods=("GET",)),
            model.TimerTrigger(cron="*/5 * * * *", timezone="Europe/Vienna", on_missed=model.OnMissed.ONCE),
            model.TimerTrigger(every_ms=10_000),
        ),
    )


def test_the_defaults_are_the_models(folder: Path) -> None:
    assert _config(folder, "") == model.FunctionConfig(runtime="python3", handler="app.handler")


@pytest.mark.parametrize(
    ("line", "field", "value"),
    [
        ("memory: 64MB", "memory_mb", 64),
        ("memory: 10GB", "memory_mb", 10_240),
        ("memory: 1.5 GiB", "memory_mb", 1536),
        ("memory: 65537KB", "memory_mb", 65),
        ("timeout: 1ms", "timeout_ms", 1),
        ("timeout: 15min", "timeout_ms", 900_000),
        ("timeout: 10m", "timeout_ms", 600_000),
        ("timeout: 1.5s", "timeout_ms", 1500),
        ("cpu: 0.05", "cpu_milli", 50),
        ("cpu: 2", "cpu_milli", 2000),
        ("cpu: 500m", "cpu_milli", 500),
        ("network: outbound", "network", model.Network.OUTBOUND),
        ("max_concurrency: 1", "max_concurrency", 1),
        ("prewarm: 0", "prewarm", 0),
        ("handler: src/my-app.handler", "handler", "src/my-app.handler"),
    ],
)
def test_a_value_is_read_in_its_unit(folder: Path, line: str, field: str, value: object) -> None:
    text = _function(line) if not line.startswith("handler") else _function("").replace("handler: app.handler", line)
    assert getattr(_load(folder, text).functions[0].config, field) == value


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("memory: 63MB", '5:13: functions.one.memory: found "63MB", expected a size from 64MB to 10GB'),
        ("memory: 512", '5:13: functions.one.memory: found "512" (a number), expected a size from 64MB to 10GB'),
        ("memory: 11GB", "expected a size from 64MB to 10GB"),
        ("memory: lots", 'found "lots"'),
        ("timeout: 16min", 'functions.one.timeout: found "16min", expected a duration from 1ms to 15min'),
        ("timeout: 0.5ms", 'found "0.5ms"'),
        ("timeout: 60", "say the unit"),
        ("cpu: 0.01", 'found "0.01" (a number), expected cores from 0.05'),
        ("cpu: true", 'found "true" (a boolean)'),
        ("cpu: .inf", "expected cores"),
        ("network: outbuond", "expected one of none, outbound (did you mean outbound?)"),
        ("memroy: 64MB", "5:5: functions.one.memroy: found an unknown key, expected one of runtime,"),
        ("memroy: 64MB", "did you mean memory?"),
        ("handler: again.handler", "functions.one.handler: found this key a second time, expected it once (line 4)"),
        ("max_concurrency: 0", "expected a whole number from 1 to 10000"),
        ("max_concurrency: 1.5", "expected a whole number"),
        ("prewarm: -1", "expected a whole number from 0"),
        ("env: {A: 80}", '5:14: functions.one.env.A: found "80" (a number), expected text (put it in quotes)'),
        ("env: {A: on}", 'found "on" (a boolean), expected text'),
        ("env: {A: [1]}", "found a list, expected text"),
        ("env: {1A: x}", 'functions.one.env.1A: found "1A", expected a name of letters'),
        ('env: {A: "a\\0b"}', "functions.one.env.A"),
        ("env: text", 'found "text", expected a mapping'),
        ("source: ./nowhere", "functions.one.source: found './nowhere', which is no folder"),
        ("requirements: none.txt", "functions.one.requirements: found 'none.txt', which is no file"),
        ("requirements: ../../etc/passwd", "outside the source"),
        ("buckets: {photos: read}", "found the unknown bucket photos, expected a bucket under the key buckets"),
        ("triggers: {}", "functions.one.triggers: found a mapping, expected a list"),
        ("triggers: [{}]", "functions.one.triggers[0]: found none of them, expected exactly one of http, timer"),
        ("triggers: [text]", 'functions.one.triggers[0]: found "text", expected a mapping with http'),
        ("triggers: [{http: {}}]", "functions.one.triggers[0].http.path: found nothing, expected this key"),
        ("triggers: [{timer: {}}]", "expected exactly one of cron, every"),
        ("triggers: [{timer: {every: 1s, cron: '* * * * *'}}]", "found cron and every, expected exactly one"),
        ("triggers: [{timer: {every: 1ms}}]", "expected a duration from 1s to 31d"),
        ("triggers: [{timer: {cron: '61 * * * *'}}]", 'found "61 * * * *", expected a cron line of 5 fields'),
        ("triggers: [{timer: {cron: '61 * * * *'}}]", "bad minute"),
        ("triggers: [{timer: {cron: '* * *'}}]", "wrong number of fields"),
        ("triggers: [{timer: {cron: '0 0 30 2 *'}}]", "bad day-of-month"),
        ("triggers: [{timer: {cron: '* * * * *', timezone: Europe/Viena}}]", "did you mean Europe/Vienna?"),
        ("triggers: [{timer: {every: 1s, input: .nan}}]", "expected a value that JSON can hold"),
        ("triggers: [{upload: {bucket: photos}}]", "functions.one.triggers[0].upload.bucket: found the unknown bucket"),
        ("triggers: [{http: {path: thumb}}]", "a path that begins with a slash"),
        ("triggers: [{http: {path: /a//b}}]", "no empty segments"),
        ("triggers: [{http: {path: '/a/x{b}'}}]", "{name} as a whole segment"),
        ("triggers: [{http: {path: '/{a}/{a}'}}]", "a path whose {names} differ"),
        ("triggers: [{http: {path: /fn/x}}]", "a path outside the platform's own"),
        ("triggers: [{http: {path: /healthz}}]", "a path outside the platform's own"),
        ("triggers: [{http: {path: /x, methods: [get]}}]", "expected one of GET, HEAD"),
    ],
)
def test_a_fault_says_where_it_is_what_was_found_and_what_is_expected(folder: Path, line: str, message: str) -> None:
    faults = _faults(folder, _function(line))
    assert len(faults) == 1
    assert message in faults[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "faas.yaml:1:1: (the file): found an empty file"),
        ("# only a comment\n", "an empty file"),
        ("[]", "found a list, expected a mapping with buckets, functions"),
        ("functions: {}", "found 0 entries"),
        ("buckets: {a: }", "functions: found nothing, expected this key"),
        ("functions:\n\tone: 1", "faas.yaml:2:1: (the file)"),
        ("functions:\n\tone: 1", "expected spaces instead of the tab"),
        ("a: [1\nb: 2", "faas.yaml:2:2"),
        ("a: 1\n---\nb: 2", "found a second document"),
        ("a: \x07", "faas.yaml:1:4"),
        ("a: " + "[" * 5000, "without end"),
        ("a: *nothing", "undefined alias"),
        ("a: *nothing", 'an anchor of that name, or quotes around it: "*nothing"'),
        ("a: " + "x" * 1_100_000, "expected a file of at most 1048576 bytes"),
        ("a: &a [*a]", "levels"),
        ("functions:\n  Bad_Name:\n    runtime: python3\n    handler: a.b", "2:3: functions.Bad_Name"),
        (_function("").replace("python3", "Node 20"), 'functions.one.runtime: found "Node 20", expected a language'),
        (_function("").replace("app.handler", "handler"), 'functions.one.handler: found "handler", expected module'),
        (f"buckets: {{photos: {{}}}}\n{_function('buckets: {photo: read}')}", "did you mean photos?"),
    ],
)
def test_a_file_that_is_no_manifest_is_refused_with_its_place(folder: Path, text: str, message: str) -> None:
    assert message in "\n".join(_faults(folder, text))


def test_an_alias_as_long_as_the_file_is_not_told_whole(folder: Path) -> None:
    [told] = _faults(folder, "- *" + "a" * 5_000)
    assert "undefined alias" in told and told.endswith("quotes around it")
    assert len(told) < 500


def test_a_billion_laughs_end_at_once(folder: Path) -> None:
    lines = ["a: &a0 [x]"] + [f"b{n}: &a{n + 1} [{', '.join([f'*a{n}'] * 9)}]" for n in range(20)]
    assert "anchors unfolded" in _faults(folder, "\n".join(lines))[0]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_manifest_may_be_written_as_editors_of_windows_write_text(folder: Path, encoding: str) -> None:
    (folder / "faas.yaml").write_bytes(_function("env: {NAME: ü}").encode(encoding))
    assert loading.load(folder).functions[0].config.env == {"NAME": "ü"}


def test_text_that_is_not_utf8_is_named_with_its_byte(folder: Path) -> None:
    (folder / "faas.yaml").write_bytes(b"functions:\n  a: \xff")
    with pytest.raises(errors.ManifestErrors, match=r"faas.yaml:2:6: \(the file\): found byte 0xff, expected UTF-8"):
        loading.load(folder)


def test_a_byte_order_mark_anchors_and_merge_keys_are_fine(folder: Path) -> None:
    text = (
        "\ufefffunctions:\n  one: &base\n    runtime: python3\n    handler: app.one\n    memory: 128MB\n"
        "  two:\n    <<: *base\n    handler: app.two\n"
    )
    (folder / "faas.yaml").write_text(text, encoding="utf-8")
    one, two = loading.load(folder).functions
    assert (one.config.handler, two.config.handler, two.config.memory_mb) == ("app.one", "app.two", 128)


def test_all_faults_come_at_once_in_the_order_of_their_lines(folder: Path) -> None:
    text = _function("memory: 1MB", "    timeout: never\n    env: {A: 1}\n    colour: red\n")
    assert [fault.split(": ")[1] for fault in _faults(folder, text)] == [
        "functions.one.memory", "functions.one.timeout", "functions.one.env.A", "functions.one.colour",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("first", "second", "clash"),
    [
        ("{path: '/a/{x}'}", "{path: '/a/{y}'}", True),
        ("{path: /a, methods: [GET]}", "{path: /a}", True),
        ("{path: /a, methods: [GET, PUT]}", "{path: /a, methods: [PUT]}", True),
        ("{path: /a, methods: [GET]}", "{path: /a, methods: [PUT]}", False),
        ("{path: /a/b}", "{path: '/a/{y}'}", False),
    ],
)
def test_two_functions_on_one_route_are_a_fault_of_the_second(
    folder: Path, first: str, second: str, clash: bool
) -> None:
    text = _function(f"triggers: [{{http: {first}}}]") + (
        f"  two:\n    runtime: python3\n    handler: app.handler\n    triggers: [{{http: {second}}}]\n"
    )
    if not clash:
        assert len(_load(folder, text).functions) == 2
        return
    (fault,) = _faults(folder, text)
    assert "functions.two.triggers[0].http.path: found the route of one (line 5)" in fault


def test_a_wrong_trigger_does_not_move_the_place_of_the_next(folder: Path) -> None:
    faults = _faults(folder, _function("triggers: [1, {upload: {bucket: nowhere}}]"))
    assert "functions.one.triggers[1].upload.bucket" in faults[1]


def test_a_timer_carries_its_input_as_json(folder: Path) -> None:
    config = _config(folder, "triggers: [{timer: {every: 1s, input: {a: [1, 2.5, null, true, text]}}}]")
    (timer,) = config.triggers
    assert isinstance(timer, model.TimerTrigger)
    assert timer.input is not None
    assert msgspec.json.decode(timer.input) == {"a": [1, 2.5, None, True, "text"]}


def test_an_input_of_null_is_an_input(folder: Path) -> None:
    config = _config(folder, "triggers: [{timer: {every: 1s, input: null}}, {timer: {every: 2s}}]")
    assert [trigger.is_input_null for trigger in config.triggers] == [True, False]  # type: ignore[union-attr]
    kept = msgspec.json.decode(msgspec.json.encode(config), type=model.FunctionConfig)
    assert kept == config


def test_a_timer_says_what_to_do_when_runs_overlap(folder: Path) -> None:
    config = _config(folder, "triggers: [{timer: {cron: '* * * * *', overlap: replace}}]")
    assert config.triggers == (model.TimerTrigger(cron="* * * * *", overlap=model.Overlap.REPLACE),)
    (fault,) = _faults(folder, _function("triggers: [{timer: {every: 1s, overlap: allow}}]"))
    assert "expected one of queue, skip, replace" in fault


def test_a_route_says_what_pages_of_other_origins_may_do(folder: Path) -> None:
    config = _config(
        folder,
        "triggers: [{http: {path: /a, methods: [GET, PUT], cors: {origins: 'https://*.a.example', methods: HEAD,"
        " headers: [X-A], expose: [X-B, X-C], credentials: true, max_age: 10m}}}]",
    )
    assert config.triggers == (
        model.HttpTrigger(
            path="/a",
            methods=("GET", "PUT"),
            cors=model.Cors(
                origins=("https://*.a.example",),
                methods=("HEAD",),
                headers=("X-A",),
                expose=("X-B", "X-C"),
                credentials=True,
                max_age_s=600,
            ),
        ),
    )
    kept = msgspec.json.decode(msgspec.json.encode(config), type=model.FunctionConfig)
    assert kept == config


@pytest.mark.parametrize(
    ("cors", "message"),
    [
        ("{}", "http.cors.origins: found nothing, expected this key"),
        ("{origins: '*', credentials: true}", "found true with the origin *, expected origins by name"),
        ("{origins: '*', methods: [PUT]}", "found PUT, which the route does not take, expected a method of the route"),
        ("{origins: '*', headers: ['X A']}", "expected the name of a header field"),
        ("{origins: [a.example]}", "(write https://a.example)"),
        ("{origins: '*', max_age: 2d}", "expected a duration from 0s to 24h"),
    ],
)
def test_what_browsers_or_the_route_never_allow_is_a_fault(folder: Path, cors: str, message: str) -> None:
    (fault,) = _faults(folder, _function(f"triggers: [{{http: {{path: /a, methods: [GET], cors: {cors}}}}}]"))
    assert message in fault


def test_a_style_goes_with_its_hooks(folder: Path) -> None:
    text = "functions: {a: {runtime: python3, handler: app.h, style: %s, initializer: app.i, pre_stop: app.p}}"
    (folder / "faas.yaml").write_text(text % "fc")
    config = loading.load(folder).functions[0].config
    assert (config.style, config.initializer, config.pre_stop) == (model.Style.FC, "app.i", "app.p")
    (folder / "faas.yaml").write_text(text % "lambda")
    with pytest.raises(errors.ManifestErrors) as refused:
        loading.load(folder)
    found = [fault.message for fault in refused.value.errors]
    assert len(found) == 2 and all("with `style: lambda`" in message for message in found), found


def test_buckets_of_ones_own_are_absolute_and_differ(folder: Path) -> None:
    project = _load(folder, "buckets: {a: {path: ./in}}\n" + _function(""))
    assert project.buckets == (model.Bucket(name="a", path=str(folder / "in")),)
    assert (
        "the folder of the bucket a"
        in _faults(folder, "buckets: {a: {path: in}, b: {path: ./in}}\n" + _function(""))[0]
    )


def test_a_folder_without_a_manifest_is_a_bad_request(folder: Path) -> None:
    with pytest.raises(errors.BadRequest, match="no manifest"):
        loading.load(folder)


def _schema_says(text: str) -> list[str]:
    validator = jsonschema.Draft202012Validator(table.json_schema())
    return [error.json_path for error in validator.iter_errors(yaml.safe_load(text))]


def test_the_json_schema_is_one_and_takes_the_documented_manifest() -> None:
    jsonschema.Draft202012Validator.check_schema(table.json_schema())
    assert _schema_says(_ISSUE) == []


@pytest.mark.parametrize(
    "line",
    ["memroy: 64MB", "memory: 512", "timeout: soon", "cpu: 0.01", "env: {A: 80}", "max_concurrency: 0",
     "triggers: [{}]", "triggers: [{http: {}}]", "triggers: [{timer: {every: 1s, cron: '* * * * *'}}]", "network: all"],
)  # fmt: skip
def test_the_json_schema_refuses_what_the_loader_refuses(folder: Path, line: str) -> None:
    assert _faults(folder, _function(line))
    assert _schema_says(_function(line))


_FRAGMENTS = strategies.sampled_from(
    ["functions:", "\n", "  ", "one:", " {", "}", "[", "]", ", ", "&a ", "*a", "<<: ", "- ", "\t", '"', "'", "!!int ",
     "!x ", "triggers:", "http:", "path: /{a}", "timer:", "cron: '* * * * *'", "input:", ".nan", "1e999", "0b", "0x",
     "1:2:3", "2020-01-01", "\\ud800", "%YAML 1.1\n", "---\n", "? ", "|", "> ", "null", "~", "\ufeff", "\x00", "=",
     "runtime: python3", "handler: a.b", "memory: 64MB", "buckets:", "upload:", "bucket:", "env:", "source: \u2028"]
)  # fmt: skip


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(strategies.lists(_FRAGMENTS | strategies.text(max_size=8), max_size=40).map("".join))
def test_any_text_is_a_project_or_manifest_errors(text: str) -> None:
    _only_manifest_errors(text.encode("utf-8", "surrogatepass"))


@settings(max_examples=200, deadline=None)
@given(strategies.binary(max_size=200))
def test_any_bytes_are_a_project_or_manifest_errors(raw: bytes) -> None:
    _only_manifest_errors(raw)


def _values() -> strategies.SearchStrategy[Any]:
    leaf = strategies.none() | strategies.booleans() | strategies.integers() | strategies.floats() | strategies.text()
    return strategies.recursive(
        leaf, lambda inner: strategies.lists(inner) | strategies.dictionaries(strategies.text(), inner), max_leaves=5
    )


_KEYS = strategies.sampled_from(sorted(table._function().fields))
_TRIGGERS = strategies.lists(
    strategies.dictionaries(
        strategies.sampled_from(["http", "timer", "upload"]),
        strategies.dictionaries(
            strategies.sampled_from(["path", "methods", "cron", "every", "timezone", "input", "bucket", "suffix"]),
            _values(),
        )
        | _values(),
    )
)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(strategies.dictionaries(_KEYS, _values()), _TRIGGERS)
def test_any_values_under_the_right_keys_are_a_project_or_manifest_errors(
    function: dict[str, Any], triggers: list[Any]
) -> None:
    text = yaml.safe_dump({"functions": {"one": {**function, "triggers": triggers}}}, allow_unicode=True)
    _only_manifest_errors(text.encode("utf-8", "surrogatepass"))


def _only_manifest_errors(raw: bytes) -> None:
    try:
        loading.parse(raw, Path(__file__).parent / "faas.yaml")
    except errors.ManifestErrors as caught:
        assert caught.errors
        assert all(fault.message.isprintable() for fault in caught.errors), caught.message
        caught.message.encode()


def test_retries_have_the_names_that_lambda_users_know(folder: Path) -> None:
    given = "retries: {maximum_retry_attempts: 5, maximum_event_age: 10m, backoff: 2s, on: timeout}"
    assert _config(folder, given).retries == model.Retries(
        maximum_retry_attempts=5, maximum_event_age_ms=600_000, backoff_ms=2_000, on=(model.Status.TIMEOUT,)
    )
    assert _config(folder, "idempotent: true").idempotent
    (fault,) = _faults(folder, _function("idempotent: perhaps"))
    assert "expected true or false" in fault


def test_a_triggers_retries_take_what_they_do_not_say_from_the_functions(folder: Path) -> None:
    config = _config(
        folder,
        "retries: {maximum_retry_attempts: 5, backoff: 2s}\n"
        "    triggers:\n"
        "      - timer: {every: 10s, retries: {maximum_retry_attempts: 0}}\n"
        "      - http: {path: /a, retries: {on: timeout}}\n"
        "      - http: {path: /b}",
    )
    of = model.Retries(maximum_retry_attempts=5, backoff_ms=2_000)
    assert [trigger.retries for trigger in config.triggers] == [
        msgspec.structs.replace(of, maximum_retry_attempts=0),
        msgspec.structs.replace(of, on=(model.Status.TIMEOUT,)),
        None,
    ]


def test_destinations_are_a_function_a_bucket_or_a_url(folder: Path) -> None:
    config = _config(
        folder,
        "env: {KEY: s3cret}\n"
        "    on_success: {function: another}\n"
        "    on_failure: {url: 'https://example.com/hook?a=b', secret: KEY}",
    )
    assert config.on_success == model.ToFunction(function="another")
    assert config.on_failure == model.ToUrl(url="https://example.com/hook?a=b", secret="KEY")
    text = _function("on_failure: {bucket: failed, prefix: new/in-}", "buckets: {failed: {}}\n")
    assert _load(folder, text).functions[0].config.on_failure == model.ToBucket(bucket="failed", prefix="new/in-")


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("on_success: {}", "expected exactly one of function, bucket, url"),
        ("on_success: {function: a, url: 'https://example.com'}", "expected exactly one of function, bucket, url"),
        ("on_failure: {bucket: nowhere}", "the unknown bucket nowhere"),
        ("on_failure: {url: 'ftp://example.com/'}", "http or https"),
        ("on_failure: {url: 'https://me:secret@example.com/'}", "no name and password"),
        ("on_failure: {url: 'https://example.com:99999/'}", "http or https"),
        ("on_failure: {url: 'https:///hook'}", "http or https"),
        ("on_failure: {url: 'https://example.com/#here'}", "no fragment"),
        ("on_failure: {function: a, prefix: b}", "prefix without bucket"),
        ("on_failure: {bucket: b, prefix: ../}", "the beginning of a key"),
        ("on_failure: {bucket: b, prefix: /a}", "the beginning of a key"),
        ("on_failure: {url: 'https://example.com', secret: KEY}", "KEY, which env does not hold"),
        ("on_failure: {function: a, secret: KEY}", "secret without url"),
    ],
)
def test_a_destination_that_cannot_be_meant_is_a_fault(folder: Path, line: str, fault: str) -> None:
    assert any(fault in each for each in _faults(folder, _function(line))), _faults(folder, _function(line))


@pytest.mark.parametrize("name", ["x" * 300, "x/" * 500, "loop", "loop/x", "file/x"])
@pytest.mark.parametrize("line", ["source: {}", "requirements: {}"])
def test_a_name_that_no_file_can_have_is_a_fault_with_its_place(folder: Path, line: str, name: str) -> None:
    (folder / "loop").symlink_to("loop")
    (folder / "file").touch()
    (fault,) = _faults(folder, _function(line.format(name)))
    assert fault.startswith("faas.yaml:5:")


@pytest.mark.parametrize("name", ["x" * 300, "loop", "loop/x", "file", "file/x"])
def test_a_folder_of_a_bucket_that_can_never_be_made_is_a_fault_with_its_place(folder: Path, name: str) -> None:
    (folder / "loop").symlink_to("loop")
    (folder / "file").touch()
    (fault,) = _faults(folder, _function("", f"buckets: {{one: {{path: {name}}}}}\n"))
    assert fault.startswith("faas.yaml:6:")


# -- tags and budgets


def test_tags_of_the_project_are_those_of_each_function_but_for_its_own(folder: Path) -> None:
    text = "tags: {team: shop, env: prod}\n" + _function("tags: {env: test, cost-center: '42'}")
    assert _load(folder, text).functions[0].config.tags == {"team": "shop", "env": "test", "cost-center": "42"}
    assert _load(folder, "tags: {team: shop}\n" + _function("")).functions[0].config.tags == {"team": "shop"}
    assert _config(folder, "").tags == {}


@pytest.mark.parametrize(
    ("tags", "fault"),
    [
        ("{team: 42}", "expected a value"),
        ("{team: ''}", "expected a value"),
        ("{team: 'a,b'}", "expected a value"),
        ("{team: 'a=b'}", "expected a value"),
        ("{team: '=1+1'}", "expected a value"),
        ("{team: ' a'}", "expected a value"),
        ("{'1team': a}", "expected a key"),
        ("{'a=b': a}", "expected a key"),
        ("[team]", "expected a mapping"),
        ("{" + ", ".join(f"t{n}: a" for n in range(21)) + "}", "found 21 entries"),
    ],
)
def test_a_tag_that_could_not_be_told_from_others_is_refused(folder: Path, tags: str, fault: str) -> None:
    assert fault in _faults(folder, _function(f"tags: {tags}"))[0]
    assert _schema_says(_function(f"tags: {tags}"))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("budget: {amount: 5}", model.CostBudget(amount_pico=5 * 10**12)),
        (
            "budget: {per: day, amount: 0.000000001, then: stop}",
            model.CostBudget(amount_pico=1_000, per=model.Per.DAY, then=model.Then.STOP),
        ),
        ("budget: {amount: '2.50'}", model.CostBudget(amount_pico=2_500_000_000_000)),
        ("budget: {amount: 1000000}", model.CostBudget(amount_pico=10**18)),
    ],
)
def test_a_budget_is_an_exact_amount(folder: Path, line: str, expected: model.CostBudget) -> None:
    assert _config(folder, line).budget == expected
    assert not _schema_says(_function(line))


@pytest.mark.parametrize(
    ("budget", "fault"),
    [
        ("{}", "amount: found nothing"),
        ("5", "expected a mapping"),
        ("{amount: 0}", "expected an amount"),
        ("{amount: -1}", "expected an amount"),
        ("{amount: 5 USD}", "expected an amount"),
        ("{amount: 1000001}", "expected an amount"),
        ("{amount: 5, per: week}", "per: found"),
        ("{amount: 5, then: kill}", "then: found"),
    ],
)
def test_a_budget_that_means_nothing_is_refused(folder: Path, budget: str, fault: str) -> None:
    assert fault in "\n".join(_faults(folder, _function(f"budget: {budget}")))


# -- what is kept


def test_a_function_says_for_how_long_what_it_leaves_is_kept(folder: Path) -> None:
    line = "keep: {logs: 14d, records: 90d, dead_letters: ever, revisions: 1h}"
    days = 86_400_000
    expected = {"logs": 14 * days, "records": 90 * days, "dead_letters": 0, "revisions": 3_600_000}
    assert _config(folder, line).keep == expected
    assert not _schema_says(_function(line))


@pytest.mark.parametrize(
    ("keep", "fault"),
    [
        ("{logs: 59min}", "1h to 36500d, or `ever`"),
        ("{logs: 36501d}", "1h to 36500d, or `ever`"),
        ("{logs: 0}", "1h to 36500d, or `ever`"),
        ("{logs: Ever}", "1h to 36500d, or `ever`"),
        ("{logs: [ever]}", "1h to 36500d, or `ever`"),
        ("{minutes: 3d}", "minutes"),
        ("14d", "expected a mapping"),
    ],
)
def test_a_time_that_nothing_can_be_kept_for_is_refused(folder: Path, keep: str, fault: str) -> None:
    assert fault in "\n".join(_faults(folder, _function(f"keep: {keep}")))
