"""Which function answers which request."""

from __future__ import annotations

import pytest

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
