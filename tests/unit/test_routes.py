"""Which function answers which request."""

from __future__ import annotations

import urllib.parse

import hypothesis
import pytest
from hypothesis import strategies as st

from faas.core import errors, model
from triggers.gateway import routes


def revision(name: str, *triggers: model.Trigger) -> model.Revision:
    config = model.FunctionConfig(runtime="python3", handler="app.handler", triggers=triggers)
    return model.Revision(function=name, number=1, artifact="0" * 64, config=config, created_at_ms=0)


TABLE = routes.Routes(
    [
        revision("show", model.HttpTrigger(path="/thumb/{name}", methods=("GET",))),
        revision("make", model.HttpTrigger(path="/thumb/{name}", methods=("POST", "PUT"))),
        revision("new", model.HttpTrigger(path="/thumb/new", methods=("GET",))),
        revision("home", model.HttpTrigger(path="/")),
        revision("files", model.HttpTrigger(path="/files/{path+}")),
        revision("list", model.HttpTrigger(path="/files/list")),
        revision("home-of", model.HttpTrigger(path="/{name}/@home")),
        revision("street", model.HttpTrigger(path="/stra%C3%9Fe")),
        revision("quiet", model.TimerTrigger(every_ms=1000)),
    ]
)


@pytest.mark.parametrize(
    ("method", "path", "function", "parameters"),
    [
        ("GET", "/thumb/cat.jpg", "show", {"name": "cat.jpg"}),
        ("PUT", "/thumb/cat.jpg", "make", {"name": "cat.jpg"}),
        ("GET", "/thumb/new", "new", {}),
        ("GET", "/thumb/a%20b%2Fc", "show", {"name": "a b/c"}),
        ("DELETE", "/", "home", {}),
        ("GET", "/fn/show", "show", {}),
        ("POST", "/fn/show/deep/er", "show", {}),
        ("HEAD", "/thumb/cat.jpg", "show", {"name": "cat.jpg"}),
        ("GET", "/files/a", "files", {"path": "a"}),
        ("GET", "/files/a/b%2Fc//d/", "files", {"path": "a/b/c//d"}),
        ("GET", "/files/%7Eme/.ssh", "files", {"path": "~me/.ssh"}),
        ("GET", "/files//a", "files", {"path": "/a"}),
        ("GET", "/files///a//", "files", {"path": "//a"}),
        ("GET", "/files/list", "list", {}),
        ("GET", "/files/list/x", "files", {"path": "list/x"}),
        ("GET", "/%74humb/n%65w", "new", {}),
        ("GET", "/thumb/x/../new", "new", {}),
        ("GET", "/./thumb/%2E/new", "new", {}),
        ("GET", "/../../thumb/new", "new", {}),
        ("GET", "/thumb/new/.", "new", {}),
        ("GET", "/~me/%40home", "home-of", {"name": "~me"}),
        ("GET", "/%7eme/@home", "home-of", {"name": "~me"}),
        ("GET", "/stra%c3%9fe", "street", {}),
    ],
)
def test_a_request_finds_its_function(method: str, path: str, function: str, parameters: dict[str, str]) -> None:
    match = TABLE.find(method, path)
    assert (match.route.revision.function, match.parameters) == (function, parameters)


@pytest.mark.parametrize(
    "path",
    [
        "/nowhere",
        "/thumb",
        "/thumb/",
        "/thumb/a/b",
        "/fn/quiet",
        "/fn/none",
        "/fn",
        "/files",
        "/files/",
        "/files//",
        "/thumb%2Fnew",
        "/thumb//new",
        "/fn/show/../none",
        "/THUMB/new",
        "/%zz",
    ],
)
def test_a_path_that_nobody_answers_is_not_found(path: str) -> None:
    with pytest.raises(errors.NotFound):
        TABLE.find("GET", path)


def test_a_method_that_no_route_takes_is_refused_with_those_that_are() -> None:
    with pytest.raises(errors.MethodNotAllowed) as refused:
        TABLE.find("PATCH", "/thumb/cat.jpg")
    assert refused.value.data == {"allow": "GET, HEAD, POST, PUT"}


@pytest.mark.parametrize(
    ("sent", "seen"),
    [
        ("/fn/show", "/"), ("/fn/show/", "/"), ("/fn/show/a%2Fb/~c/", "/a%2Fb/~c/"), ("/fn/sh%6Fw/%7E", "/%7E"),
        ("/fn/make/../show/x", "/x"), ("/fn/show/x/../../make/y", "/y"), ("/fn/show//x", "//x"), ("/thumb/new", None),
    ],
)  # fmt: skip
def test_by_its_name_a_function_sees_the_path_behind_it(sent: str, seen: str | None) -> None:
    assert TABLE.find("GET", sent).path == seen


def test_no_catch_all_answers_where_functions_go_by_their_names() -> None:
    table = routes.Routes([revision("all", model.HttpTrigger(path="/{proxy+}"))])
    assert table.find("GET", "/fn/all/x").path == "/x"
    with pytest.raises(errors.NotFound):
        table.find("GET", "/fn/typo/x")
    with pytest.raises(errors.NotFound):
        table.find("GET", "/")


def test_whoever_answers_get_answers_head_unless_another_says_that_it_does() -> None:
    of_get = model.HttpTrigger(path="/a", methods=("GET",))
    of_all = model.HttpTrigger(path="/{x}")
    table = routes.Routes([revision("get", of_get), revision("all", of_all)])
    route = table.find("HEAD", "/a").route
    assert (route.revision.function, route.as_seen("HEAD"), route.key("HEAD")) == ("get", "GET", "GET /a")
    assert table.find("HEAD", "/b").route.as_seen("HEAD") == "HEAD"
    of_head = model.HttpTrigger(path="/a", methods=("HEAD",))
    for order in ((of_get, of_head), (of_head, of_get)):
        route = routes.Routes([revision(one.methods[0], one) for one in order]).find("HEAD", "/a").route
        assert (route.revision.function, route.as_seen("HEAD")) == ("HEAD", "HEAD")


def test_the_route_key_is_the_declared_path() -> None:
    assert TABLE.find("GET", "/thumb/x").route.key("GET") == "GET /thumb/{name}"
    assert TABLE.find("GET", "/fn/show").route.key("GET") == "ANY /fn/show"


SEGMENTS = st.sampled_from(["a", "b", "", "{x}", "{y}"])
PATHS = st.tuples(st.lists(SEGMENTS, max_size=4), st.sampled_from([[], [], ["{rest+}"]])).map(
    lambda both: "/" + "/".join(both[0] + both[1])
)
TRIGGERS = st.builds(
    model.HttpTrigger,
    path=PATHS,
    methods=st.lists(st.sampled_from(["GET", "PUT", "HEAD"]), max_size=2, unique=True).map(tuple),
)
ASKED = st.lists(st.sampled_from(["a", "b", "c", "", "%20", "%61", "{x}"]), max_size=4).map(
    lambda parts: "/" + "/".join(parts)
)


@hypothesis.given(st.lists(TRIGGERS, max_size=12), st.sampled_from(["GET", "PUT", "POST", "HEAD"]), ASKED)
def test_the_tree_finds_what_a_look_at_each_route_finds(
    triggers: list[model.HttpTrigger], method: str, path: str
) -> None:
    revisions = [revision(f"f{number}", trigger) for number, trigger in enumerate(triggers)]
    try:
        found = routes.Routes(revisions).find(method, path)
        said: object = (found.route.revision.function, found.parameters)
    except (errors.NotFound, errors.MethodNotAllowed) as error:
        said = error.data.get("allow", "")
    assert said == looked_for(revisions, method, path)


def looked_for(revisions: list[model.Revision], method: str, path: str) -> object:
    """The function and its parameters, or the methods that are allowed: route by route, literals first."""
    given = [urllib.parse.unquote(part) for part in path.strip("/").split("/")]
    fitting = []
    for one in revisions:
        (trigger,) = one.config.triggers
        assert isinstance(trigger, model.HttpTrigger)
        declared = trigger.path.strip("/").split("/")
        if (found := parameters(declared, given)) is not None:
            fitting.append((declared, trigger, one.function, found))
    fitting.sort(key=lambda entry: ([rank(segment) for segment in entry[0]], "HEAD" not in entry[1].methods))
    for _, trigger, function, found in fitting:
        if not trigger.methods or method in trigger.methods or (method == "HEAD" and "GET" in trigger.methods):
            return function, found
    allowed = {method for _, trigger, _, _ in fitting for method in trigger.methods}
    return ", ".join(sorted(allowed | ({"HEAD"} if "GET" in allowed else set())))


def rank(segment: str) -> int:
    return 2 if segment.endswith("+}") else 1 if segment.startswith("{") else 0


def parameters(declared: list[str], given: list[str]) -> dict[str, str] | None:
    found = {}
    for at, segment in enumerate(declared):
        if at == len(given) or (rank(segment) == 1 and not given[at]) or (not rank(segment) and segment != given[at]):
            return None
        if rank(segment) == 2:
            return {**found, segment[1:-2]: "/".join(given[at:])} if given[-1] else None
        if rank(segment) == 1:
            found[segment[1:-1]] = given[at]
    return found if len(declared) == len(given) else None


def test_a_look_takes_as_long_among_many_routes_as_among_few() -> None:
    many = [revision(f"f{n}", model.HttpTrigger(path=f"/v1/{{tenant}}/kind{n}/{{id}}")) for n in range(3_000)]
    table = routes.Routes(many)
    looked: list[str] = []

    class Counted(str):
        """A segment that tells when it is compared."""

        __slots__ = ()

        def __hash__(self) -> int:
            looked.append(self)
            return str.__hash__(self)

        def __eq__(self, other: object) -> bool:
            return str.__eq__(self, other)

    segments = tuple(Counted(segment) for segment in ("v1", "acme", "kind2999", "7"))
    assert [route.revision.function for route in table._fitting(segments)] == ["f2999"]
    assert len(looked) == len(segments)
