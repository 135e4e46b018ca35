"""Nothing that can never match is taken, and what other tools write is told how it is written here."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest
import yaml
from hypothesis import strategies as st

from faas import buckets
from faas.core import errors, model
from faas.core.manifest import cron_lines, foreign_units, loading, patterns
from triggers import matching, schedule
from triggers.gateway import routes

FOREIGN = {
    patterns.prefix_fault: [
        ("/in/", "in/"),
        ("in/*", "in/"),
        ("in/**", "in/"),
        ("in/**/*.jpg", "in/"),
        ("in/?", "in/"),
        ("^in/", "in/"),
        ("in/.*", "in/"),
        ("in/.+", "in/"),
        (r"in\photos", "in/photos"),
        ("./in/", "in/"),
        ("~/in/", "in/"),
        ("s3://photos/in/", "in/"),
        ("in/[0-9]", "in/"),
        ("in/{user}/", "in/"),
        ("in/<user>/", "in/"),
        ("in/(a|b)", "in/"),
        ("$HOME/in", "in"),
        ("${PREFIX}", ""),
        ("in//x", "in/x"),
        ("../in", ""),
        (".hidden/", ""),
        ("*", ""),
        ("//in", "in"),
        (r"in/\d+", "in/d"),
        ("%HOME%/in", "in"),
        ("x" * 300, ""),
        ("in\0", ""),
    ],
    patterns.suffix_fault: [
        ("*.jpg", ".jpg"),
        ("**/*.png", ".png"),
        (r"\.jpg$", ".jpg"),
        (r".*\.jpg$", ".jpg"),
        ("*.{jpg,png}", "[.jpg, .png]"),
        (r"\.(jpg|png)$", "[.jpg, .png]"),
        (".jpg,.png", "[.jpg, .png]"),
        ("*.jpg;*.png", "[.jpg, .png]"),
        (".jpg|.png", "[.jpg, .png]"),
        ("in/", ""),
        ("/", ""),
        ("/.jpg", ""),
        ("?.jpg", ".jpg"),
        ("a//b", ""),
    ],
    patterns.route_fault: [
        ("/*", "/{proxy+}"),
        ("/api/*", "/api/{proxy+}"),
        ("/**", "/{proxy+}"),
        ("*", "/{proxy+}"),
        ("/api/*rest", "/api/{rest+}"),
        ("/{proxy*}", "/{proxy+}"),
        ("/files/{path:path}", "/files/{path+}"),
        ("/files/<path:name>", "/files/{name+}"),
        ("/[...slug]", "/{slug+}"),
        ("/[[...slug]]", "/{slug+}"),
        ("/(.*)", "/{proxy+}"),
        ("/users/:id", "/users/{id}"),
        ("/users/:id?", "/users/{id}"),
        (r"/users/:id(\d+)", "/users/{id}"),
        ("/users/<id>", "/users/{id}"),
        ("/users/<int:id>", "/users/{id}"),
        ("/users/[id]", "/users/{id}"),
        ("/users/{id:int}", "/users/{id}"),
        (r"/users/{id:[0-9]+}", "/users/{id}"),
        (r"^/users/(?P<id>\d+)/$", "/users/{id}"),
        ("^/users$", "/users"),
        ("GET /users", "/users"),
        ("ANY /users", "/users"),
        ("$default", "/"),
        ("/users/{id?}", "/users/{id}"),
        ("/search?q={q}", "/search"),
        ("https://example.com/users", "/users"),
        ("/users#top", "/users"),
        (r"/users\/x", "/users/x"),
        ("users", "/users"),
        ("/users/", "/users"),
        ("/a//b", "/a/b"),
        ("/a/../b", ""),
        ("/./a", "/a"),
        ("/%2e%2e/a", ""),
        ("/straße", "/stra%C3%9Fe"),
        ("/a b", "/a%20b"),
        ("/%zz", ""),
        ("/{a+}/b", ""),
        ("/x{b}", ""),
        ("/{}", ""),
        ("~ ^/users", ""),
        ("/fn/x", ""),
        ("/%66n/x", ""),
        ("/healthz", ""),
        ("", ""),
        ("/{a}/{a+}", ""),
    ],
    patterns.folder_fault: [
        ("~/inbox", ""),
        ("~", ""),
        ("$HOME/inbox", ""),
        ("${HOME}/inbox", ""),
        ("%USERPROFILE%/inbox", ""),
        (r"C:\inbox", ""),
        ("C:/inbox", ""),
        (r"in\box", "in/box"),
        ("inbox/*", "inbox"),
        ("./in/**/x", "./in"),
        ("s3://photos", ""),
        ("file:///srv/inbox", ""),
        ("", ""),
        ("  ", ""),
        ("a\0b", ""),
        ("{{ inbox }}", ""),
    ],
    patterns.origin_fault: [
        ("example.com", "https://example.com"),
        ("https://example.com/", "https://example.com"),
        ("null", "https://null"),
        ("https://Example.com", "https://example.com"),
        ("https://example.com:443", "https://example.com"),
        ("http://example.com:80", "http://example.com"),
        ("https://*", ""),
        ("*.example.com", "https://*.example.com"),
        ("https://example.com/app", "https://example.com"),
        (r"https://.*\.example\.com", ""),
        ("", ""),
        ("https://a.example, https://b.example", ""),
        ("ftp://example.com", ""),
    ],
    cron_lines.fault: [
        ("*/90 * * * *", "every: 90m"),
        ("*/60 * * * *", "every: 60m"),
        ("0 */24 * * *", "every: 24h"),
        ("0/90 * * * *", ""),
        ("10-20/30 * * * *", ""),
        ("0 0 * */12 *", ""),
        ("@daily", '"0 0 * * *"'),
        ("@every 5m", "every: 5m"),
        ("rate(5 minutes)", "every"),
        ("cron(0 10 * * ? *)", '"0 10 * * *"'),
        ("cron(0 10 ? * 2-6 *)", '"0 10 * * MON-FRI"'),
        ("0 0 12 ? * MON-FRI", '"0 0 12 * * MON-FRI"'),
        ("0 0 12 * * ? 2027", ""),
        ("0 0 12 15W * *", ""),
        ("H/15 * * * *", "number"),
        ("H H * * *", "number"),
        ("Mon..Fri 10:00", "systemd"),
        ("*-*-* 10:00:00", "systemd"),
        ("CRON_TZ=Europe/Vienna 0 7 * * *", "Europe/Vienna"),
        ("TZ=UTC 0 7 * * *", "timezone: UTC"),
        ("0 7 * * Monday", "MON"),
        ("0 7 * * FRI-MON", "FRI,SAT,SUN,MON"),
        ("0~59 * * * *", ""),
        ("61 * * * *", "0 to 59"),
        ("0 0 30 2 *", "month"),
        ("0 0 ² 1 *", "1 to 31"),
        ("* * *", "fields, 3"),
        ("", "fields"),
        ("0 25 * * *", "hour"),
        ("@reboot", ""),
        ("*/0 * * * *", "minute"),
        ("0 0 * * 5L/2", "day-of-week"),
        ("every 5 minutes", "every: 5m"),
        ("PT5M", "every: 5m"),
        ("1 week", "every: 7d"),
        ("daily", '"0 0 * * *"'),
        ("@Monthly", '"0 0 1 * *"'),
        ("0 0 12 ? * 2-6", '"0 0 12 * * MON-FRI"'),
        ("0 0 12 ? * 1,7 2027", '"0 0 12 * * SUN,SAT" (there is no field for the year)'),
        ("0 12 ? * 6", '"0 12 * * 6"'),
        ("cron(15 10 ? * 6L 2027)", '"15 10 * * 5L" (there is no field'),
        ("cron(15 10 ? * 6#3 *)", '"15 10 * * FRI#3"'),
        ("0 0 L-3 * *", "Quartz"),
        ("0 22-2 * * *", "write 22-23,0-2"),
        ("55-5 * * * *", "write 55-59,0-5"),
        ("0 0 28-3 * *", "write 28-31,1-3"),
        ("0 0 * NOV-FEB *", "NOV,DEC,JAN,FEB"),
        ("0 0 * * 5-1", "write 5-6,0-1"),
        ("0 0 * * 6-0", "write 6,0"),
        ("0 5 * * * Europe/Berlin", "'Europe/Berlin' is not from 0 to 7"),
        ("0 0 0 * * * *", "year"),
    ],
}

GOOD = {
    patterns.prefix_fault: ["", "in/", "in", "in/2026-", "a b/", "ü/", "it's", "[draft]", "a+b", "50%", "in/~x"],
    patterns.suffix_fault: ["", ".jpg", "jpg", ".JPG", "/done.txt", ".tar.gz", "-ready", "(1).pdf", ".c++"],
    patterns.route_fault: [
        "/",
        "/a",
        "/{name}",
        "/a/{name}/b",
        "/{proxy+}",
        "/files/{name+}",
        "/v1/x:cancel",
        "/@me",
        "/$metadata",
        "/~me",
        "/%7Eme",
        "/a+b",
        "/a.b",
        "/Products(1)",
        "/a;b=c",
        "/stra%C3%9Fe",
        "/{a}/{b+}",
    ],
    patterns.folder_fault: ["inbox", "./inbox", "/srv/inbox", "../in", ".", "a b", "in~box", "inbox/", "[x]"],
    patterns.origin_fault: [
        "*",
        "https://app.example.com",
        "http://localhost:3000",
        "https://*.example.com",
        "http://[::1]:8080",
    ],
    cron_lines.fault: [
        "* * * * *",
        "*/5 * * * *",
        "0/5 * * * *",
        "*/59 * * * *",
        "0 7 * * MON-FRI",
        "0 0 L * *",
        "0 0 * * 5L",
        "0 0 LW * *",
        "0 0 * * MON#2",
        "*/10 * * * * *",
        "0 0 29 2 *",
        "0 0 1 JAN-JUN/2 *",
        "5-7/2 * * * *",
        "0 0 * * 5-7/2",
        "59 23 31 12 7",
    ],
}

_CASES = [(judge, text, advice) for judge, cases in FOREIGN.items() for text, advice in cases]


@pytest.mark.parametrize(
    ("judge", "text", "advice"), _CASES, ids=lambda each: getattr(each, "__name__", repr(each)[:40])
)
def test_what_another_tool_writes_is_refused_with_what_to_write(
    judge: Callable[[str], str], text: str, advice: str
) -> None:
    told = judge(text)
    assert told
    assert advice in told
    if written := re.search(r"\(write ([^\[].*?)\)$", told):
        assert judge(written[1]) == "", told


@pytest.mark.parametrize(
    ("judge", "text"),
    [(judge, text) for judge, texts in GOOD.items() for text in texts],
    ids=lambda each: getattr(each, "__name__", repr(each)[:40]),
)
def test_what_can_match_is_taken(judge: Callable[[str], str], text: str) -> None:
    assert judge(text) == ""


_FRAGMENTS = [
    "/",
    "*",
    "**",
    "?",
    ".",
    "..",
    "~",
    "{",
    "}",
    "{a}",
    "{b+}",
    "{a:int}",
    "<a>",
    ":id",
    "[a]",
    "[0-9]",
    "(",
    ")",
    "|",
    "^",
    "$",
    "\\",
    "\\d",
    "+",
    "a",
    "in",
    ".jpg",
    "%41",
    "%2F",
    "%",
    "fn",
    "healthz",
    " ",
    ",",
    "s3:",
    "é",
    "\0",
    "//",
    "$HOME",
    "${X}",
    "proxy",
    "tmp",
    ".part",
    "x" * 200,
]
_TEXTS = st.lists(st.sampled_from(_FRAGMENTS), max_size=8).map("".join) | st.text(max_size=20)


def _revision(trigger: model.Trigger) -> model.Revision:
    config = model.FunctionConfig(runtime="python3", handler="app.handler", triggers=(trigger,))
    return model.Revision(function="f", number=1, artifact="0" * 64, config=config, created_at_ms=0)


def _fires(trigger: model.UploadTrigger, key: str) -> bool:
    try:
        buckets.split_key(key)
    except errors.BadRequest:
        return False
    return bool(matching.matching([matching.Rule(_revision(trigger), 0, trigger)], key))


@pytest.mark.parametrize("end", [".tmp", ".part", ".CRDOWNLOAD", ".filepart", "~"])
def test_an_end_that_is_ignored_is_refused_unless_it_is_taken_back(end: str) -> None:
    assert "not ignored" in patterns.upload_fault(model.UploadTrigger(bucket="b", suffix=(end,)), end)
    taken_back = model.UploadTrigger(bucket="b", suffix=(end,), ignore=(f"!*{end}",))
    assert patterns.upload_fault(taken_back, end) == ""
    assert _fires(taken_back, f"x{end}")


def test_a_folder_that_is_ignored_is_no_prefix() -> None:
    drafts = model.UploadTrigger(bucket="b", prefix="drafts/", ignore=("drafts/",))
    assert "not ignored" in patterns.upload_fault(drafts, "")


@hypothesis.settings(max_examples=500, deadline=None)
@hypothesis.given(_TEXTS)
def test_a_prefix_that_is_taken_has_a_key_that_fires(text: str) -> None:
    trigger = model.UploadTrigger(bucket="b", prefix=text)
    if not patterns.prefix_fault(text) and not patterns.upload_fault(trigger, ""):
        assert any(_fires(trigger, text + more) for more in ("", "x", "/x"))


@hypothesis.settings(max_examples=500, deadline=None)
@hypothesis.given(_TEXTS)
def test_a_suffix_that_is_taken_has_a_key_that_fires(text: str) -> None:
    trigger = model.UploadTrigger(bucket="b", suffix=(text,))
    if not patterns.suffix_fault(text) and not patterns.upload_fault(trigger, text):
        assert any(_fires(trigger, more + text) for more in ("", "x", "x/"))


@hypothesis.settings(max_examples=500, deadline=None)
@hypothesis.given(_TEXTS.map(lambda text: "/" + text) | _TEXTS)
def test_a_route_that_is_taken_answers_a_request(text: str) -> None:
    if not patterns.route_fault(text):
        asked = re.sub(r"\{\w+\+\}", "x/y", re.sub(r"\{\w+\}", "x", text))
        table = routes.Routes([_revision(model.HttpTrigger(path=text))])
        assert table.find("GET", asked).route.path == text


_FIELDS = st.sampled_from(
    ["*", "0", "5", "*/5", "*/90", "0/7", "1-5", "1-5/2", "L", "LW", "?", "MON", "FRI-MON", "5L", "6L", "H", "59/3"]
)
_LINES = st.lists(_FIELDS, min_size=4, max_size=7).map(" ".join) | st.text(max_size=20)


@hypothesis.settings(max_examples=500, deadline=None)
@hypothesis.given(_LINES)
def test_a_cron_line_that_is_taken_comes_due(line: str) -> None:
    if not cron_lines.fault(line):
        assert schedule.next_due(model.TimerTrigger(cron=line), 1_800_000_000_000) is not None


@hypothesis.settings(max_examples=500, deadline=None)
@hypothesis.given(_LINES | _LINES.map("cron({})".format))
def test_a_cron_line_that_is_advised_is_taken(line: str) -> None:
    if written := re.search(r'write "([^"]*)"', cron_lines.fault(line)):
        assert cron_lines.fault(written[1]) == ""


@hypothesis.settings(max_examples=300, deadline=None)
@hypothesis.given(st.sampled_from(list(FOREIGN)), _TEXTS)
def test_what_is_advised_is_taken(judge: Callable[[str], str], text: str) -> None:
    told = judge(text)
    if written := re.search(r" \(write ([^\[\"].*)\)$", told, re.DOTALL):
        assert judge(written[1]) == ""


@pytest.mark.parametrize("judge", FOREIGN)
@pytest.mark.parametrize(
    "text", ["a/" * 500, "*" * 1000, "{" * 1000, "((" * 500, "\\" * 1000, "<" * 1000, "0" * 1000, ":/" * 500]
)
def test_no_text_takes_long_to_judge(judge: Callable[[str], str], text: str) -> None:
    began = time.process_time()
    judge(text)
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("@every 5m", "5m"),
        ("rate(5 minutes)", "5m"),
        ("rate(1 day)", "1d"),
        ("5 minutes", "5m"),
        ("every 5 minutes", "5m"),
        ("PT5M", "5m"),
        ("P1D", "1d"),
        ("P1W", "7d"),
        ("1 week 2 days", "9d"),
        ("hourly", "1h"),
        ("@weekly", "7d"),
        ("every day", "1d"),
        ("PT1H30M", "90m"),
        ("1h30m", "90m"),
        ("00:05:00", "5m"),
        ("1:30", "90s"),
        ("5 mins", "5m"),
        ("5M", "5m"),
        ("30sec", "30s"),
        ("2hrs", "2h"),
        ("1 hour and 5 minutes", "65m"),
        ("*/5 * * * *", 'cron: "*/5 * * * *"'),
        ("soon", ""),
        ("5 parsecs", ""),
        ("", ""),
    ],
)
def test_a_period_of_another_tool_is_told_as_it_is_written_here(text: str, written: str) -> None:
    assert written in foreign_units.duration(text)
    assert bool(written) == bool(foreign_units.duration(text))


@pytest.mark.parametrize(
    ("text", "written"), [("512M", "512MB"), ("512Mi", "512MiB"), ("512m", "512MB"), ("0.5gb", "0.5GB"), ("lots", "")]
)
def test_a_size_of_another_tool_is_told_as_it_is_written_here(text: str, written: str) -> None:
    assert foreign_units.size(text) == (f"write {written}" if written else "")


def _faults(text: str) -> str:
    with pytest.raises(errors.ManifestErrors) as caught:
        loading.parse(text.encode(), Path(__file__).parent / "faas.yaml")
    return caught.value.message


def _project(trigger: str, bucket: str = "{}") -> str:
    return (
        f"buckets: {{b: {bucket}}}\nfunctions:\n  f:\n    runtime: python3\n    handler: app.handler\n"
        f"    triggers:\n      - {trigger}\n"
    )


@pytest.mark.parametrize(
    ("trigger", "value"),
    [
        ("timer: {cron: * * * * *}", "* * * * *"),
        ("timer: {cron: */5 * * * *}", "*/5 * * * *"),
        ("timer: {cron: @daily}", "@daily"),
        ("timer: {every: @every 5m}", "@every 5m"),
        ("upload: {bucket: b, suffix: [*.jpg, .png]}", "*.jpg"),
        ("upload: {bucket: b, suffix: *.jpg}", "*.jpg"),
        ("http: {path: /thumb/{name}}", "/thumb/{name}"),
        ("http: {path: /thumb/{name}, methods: [GET]}", "/thumb/{name}"),
        ("http:\n          path: {name}/x", "{name}/x"),
    ],
)
def test_a_value_that_lacks_quotes_is_shown_with_them(trigger: str, value: str) -> None:
    assert f'expected quotes around it: "{value}"' in _faults(_project(trigger))


def test_every_pattern_of_a_manifest_is_judged() -> None:
    text = _project("upload: {bucket: b, prefix: /in/, suffix: '*.jpg'}", "{path: ~/inbox}") + (
        "      - http: {path: '/*', cors: {origins: example.com}}\n"
        "      - timer: {cron: '*/90 * * * *'}\n"
        "      - timer: {every: rate(5 minutes)}\n"
        "    source: ~/code\n"
        "    requirements: '*.txt'\n"
        "    on_failure: {bucket: b, prefix: /failed/}\n"
    )
    told = _faults(text)
    for part in (
        "write in/)", "write .jpg)", "home folder", "write /{proxy+})", "write https://example.com)", "every: 90m",
        "write 5m)", "functions.f.source", "functions.f.requirements", "write failed/)",
    ):  # fmt: skip
        assert part in told, part


@pytest.mark.parametrize(
    ("handler", "written"),
    [
        ("app:handler", "app.handler"),
        ("app.py", "app.handler"),
        ("app.py:main", "app.main"),
        ("./app.handler", "app.handler"),
        ("src\\app.handler", "src/app.handler"),
        ("app.handler()", "app.handler"),
    ],
)
def test_a_handler_as_a_server_names_it_is_told_as_it_is_written_here(handler: str, written: str) -> None:
    told = _faults(_project("http: {path: /a}").replace("handler: app.handler", f"handler: '{handler}'"))
    assert f"expected module.function, no file and no call (write {written})" in told


@pytest.mark.parametrize(
    ("method", "hint"), [("ANY", "leave methods out"), ("'*'", "leave methods out"), ("get", "did you mean GET?")]
)
def test_a_method_of_another_tool_is_told(method: str, hint: str) -> None:
    assert hint in _faults(_project(f"http: {{path: /a, methods: [{method}]}}"))


def test_a_prefix_and_a_suffix_that_no_key_can_have_are_refused() -> None:
    for end in ("/x" + "y" * 200, "x" * 200):
        prefix = "a/" * 450
        text = yaml.safe_dump(
            {"upload": {"bucket": "b", "prefix": prefix, "suffix": end}}, default_flow_style=True, width=9999
        )
        assert "fit one key" in _faults(_project(text.strip()))
