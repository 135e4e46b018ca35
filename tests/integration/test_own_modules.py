"""The user's modules come first, whatever the agent has imported before, and however long it has waited."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent_harness import Agent, started_agent
from tests.eventually import eventually_sync

RECEIVING = {"x86_64": "45", "aarch64": "207"}[os.uname().machine]
"""The number of the system call that an agent waits in which has nothing left to import."""


@pytest.fixture(params=["prewarmed", "full"])
def agent(request: pytest.FixtureRequest) -> Iterator[Agent]:
    with started_agent() as agent:
        if request.param == "prewarmed":
            assert eventually_sync(lambda: _waits(agent.process.pid))
        yield agent


def _waits(pid: int) -> bool:
    return Path(f"/proc/{pid}/syscall").read_text().split()[0] == RECEIVING


def written(folder: Path, **files: str) -> Path:
    """A folder of modules: ``json__init="..."`` is json/__init__.py."""
    for name, text in files.items():
        path = folder / f"{name.replace('__init', '/__init__')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


APP = """
import {name}
def handler(event, context):
    import {name} as again
    return [{name}.MARK, again is {name}]
"""


@pytest.mark.parametrize(
    "name",
    [
        *("random", "json", "types", "logging", "queue", "enum", "traceback", "decimal", "tempfile", "contextlib"),
        *("threading", "socket", "asyncio", "struct", "functools", "importlib", "_decimal", "secrets", "faas_agent"),
    ],
)
def test_a_file_beside_the_handler_wins_over_what_the_agent_has_imported(
    agent: Agent, tmp_path: Path, name: str
) -> None:
    code = written(tmp_path, app=APP.format(name=name), **{name: "MARK = 'my own'\n"})
    assert agent.load(code).kind == "loaded"
    assert agent.invoke().result == ["my own", True]
    assert agent.invoke(b"{no").error["type"] == "Runtime.UnmarshalError"


@pytest.mark.parametrize("name", ["email", "json", "collections", "concurrent", "urllib", "asyncio"])
def test_so_does_a_package(agent: Agent, tmp_path: Path, name: str) -> None:
    code = written(tmp_path, app=APP.format(name=name), **{f"{name}__init": "from .inner import MARK\n"})
    (code / name / "inner.py").write_text("MARK = 'my own'\n")
    assert agent.load(code).kind == "loaded"
    assert agent.invoke().result == ["my own", True]


def test_so_does_a_folder_that_the_functions_own_pythonpath_names(agent: Agent, tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    written(tmp_path / "src", random="MARK = 'my own'\n")
    agent.load(written(tmp_path, app=APP.format(name="random")), env={"PYTHONPATH": "src"})
    assert agent.invoke().result == ["my own", True]


def test_so_do_the_handlers_own_modules_of_such_names(agent: Agent, tmp_path: Path) -> None:
    code = written(tmp_path, json__init="", types="def handler(event, context):\n    return __name__\n")
    (code / "json" / "worker.py").write_text("def handler(event, context):\n    return __name__\n")
    agent.load(code, "json/worker.handler")
    assert agent.invoke().result == "json.worker"


def test_a_main_module_may_be_the_handlers(agent: Agent, tmp_path: Path) -> None:
    code = written(tmp_path, __main__="def handler(event, context):\n    return __file__\n")
    assert agent.load(code, "__main__.handler").kind == "loaded"
    assert agent.invoke().result == str(code / "__main__.py")


def test_a_main_module_beside_the_handler_is_not_run(agent: Agent, tmp_path: Path) -> None:
    app = "import __main__\ndef handler(event, context):\n    return hasattr(__main__, 'MARK')\n"
    agent.load(written(tmp_path, app=app, __main__="MARK = 1\nprint('run')\n"))
    frame = agent.invoke()
    assert (frame.result, frame.output) == (False, "")


def test_what_the_standard_library_has_of_itself_does_not_depend_on_time(agent: Agent, tmp_path: Path) -> None:
    app = "import random, tempfile\ndef handler(event, context):\n    return [random.MARK, tempfile.gettempdir()]\n"
    loaded = agent.load(written(tmp_path, app=app, random="MARK = 1\n"))
    assert loaded.kind == "loaded", loaded.error
    assert agent.invoke().result == [1, "/tmp"]


def test_a_folder_without_modules_hides_nothing(agent: Agent, tmp_path: Path) -> None:
    for name in ("json", "logging", "email"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "data.txt").write_text("data")
    app = "import email.message, json, logging\ndef handler(event, context):\n    return json.loads('[1]')\n"
    agent.load(written(tmp_path, app=app))
    assert agent.invoke().result == [1]


@pytest.mark.parametrize("folder", ["queue", "http", "code", "test"])
def test_a_plain_folder_of_such_a_name_may_hold_the_handler(agent: Agent, tmp_path: Path, folder: str) -> None:
    worker = "import http.client, queue\ndef handler(event, context):\n    return [__name__, queue.Queue.__name__]\n"
    (tmp_path / folder).mkdir()
    written(tmp_path / folder, worker=worker)
    loaded = agent.load(tmp_path, f"{folder}/worker.handler")
    assert loaded.kind == "loaded", loaded.error
    assert agent.invoke().result == [f"{folder}.worker", "Queue"]


@pytest.mark.parametrize("name", ["sys", "time", "os", "io", "abc", "codecs", "site", "encodings", "posixpath"])
def test_a_handler_named_like_what_every_interpreter_has_is_told_so(agent: Agent, tmp_path: Path, name: str) -> None:
    error = agent.load(written(tmp_path, **{name: "def handler(event, context): ...\n"}), f"{name}.handler").error
    assert error["type"] == "Runtime.BuiltInModuleConflict"
    assert f"Cannot use built-in module {name} as a handler module" in error["message"]


def test_an_error_is_told_though_the_user_has_a_module_that_telling_it_needs(agent: Agent, tmp_path: Path) -> None:
    app = "def handler(event, context):\n    return (1 / 0,\n            2)\n"
    agent.load(
        written(tmp_path, app=app, ast="raise OSError\n", tokenize="raise OSError\n", linecache="raise OSError\n")
    )
    frame = agent.invoke()
    assert frame.error["type"] == "ZeroDivisionError"
    assert 'app.py", line 2, in handler' in frame.output
    assert agent.invoke().error["type"] == "ZeroDivisionError"


def test_a_module_that_this_interpreter_has_of_the_platform_is_no_exception(agent: Agent, tmp_path: Path) -> None:
    started_with = {name.partition(".")[0] for name in sys.modules if name.isidentifier()}
    name = next((name for name in ("certifi", "_virtualenv", "pathlib") if name in started_with), "pathlib")
    agent.load(written(tmp_path, app=APP.format(name=name), **{name: "MARK = 'my own'\n"}))
    assert agent.invoke().result == ["my own", True]
