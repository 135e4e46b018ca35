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
    ],
)
def test_a_request_finds_its_function(method: str, path: str, function: str, parameters: dict[str, str]) -> None:
    match = TABLE.find(method, path)
    assert (match.route.revision.function, match.parameters) == (function, parameters)


@pytest.mark.parametrize("path", ["/nowhere", "/thumb", "/thumb/", "/thumb/a/b", "/fn/quiet", "/fn/none", "/fn"])
def test_a_path_that_nobody_answers_is_not_found(path: str) -> None:
    with pytest.raises(errors.NotFound):
        TABLE.find("GET", path)


def test_a_method_that_no_route_takes_is_refused_with_those_that_are() -> None:
    with pytest.raises(errors.MethodNotAllowed) as refused:
        TABLE.find("PATCH", "/thumb/cat.jpg")
    assert refused.value.data == {"allow": "GET, POST, PUT"}


def test_the_route_key_is_the_declared_path() -> None:
    assert TABLE.find("GET", "/thumb/x").route.key("GET") == "GET /thumb/{name}"
    assert TABLE.find("GET", "/fn/show").route.key("GET") == "ANY /fn/show"


SEGMENTS = st.sampled_from(["a", "b", "", "{x}", "{y}"])
PATHS = st.lists(SEGMENTS, max_size=4).map(lambda segments: "/" + "/".join(segments))
TRIGGERS = st.builds(
    model.HttpTrigger, path=PATHS, methods=st.lists(st.sampled_from(["GET", "PUT"]), max_size=2, unique=True).map(tuple)
)
ASKED = st.lists(st.sampled_from(["a", "b", "c", "", "%20", "{x}"]), max_size=4).map(
    lambda parts: "/" + "/".join(parts)
)


@hypothesis.given(st.lists(TRIGGERS, max_size=12), st.sampled_from(["GET", "PUT", "POST"]), ASKED)
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
    given = path.strip("/").split("/")
    fitting = []
    for one in revisions:
        (trigger,) = one.config.triggers
        assert isinstance(trigger, model.HttpTrigger)
        declared = trigger.path.strip("/").split("/")
        if len(declared) == len(given) and all(
            (mine.startswith("{") and other != "") or mine == other for mine, other in zip(declared, given, strict=True)
        ):
            fitting.append((declared, trigger, one.function))
    fitting.sort(key=lambda entry: [segment.startswith("{") for segment in entry[0]])
    for declared, trigger, function in fitting:
        if not trigger.methods or method in trigger.methods:
            pairs = zip(declared, given, strict=True)
            return function, {a[1:-1]: urllib.parse.unquote(b) for a, b in pairs if a.startswith("{")}
    return ", ".join(sorted({method for _, trigger, _ in fitting for method in trigger.methods}))


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
