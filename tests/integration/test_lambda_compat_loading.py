"""Loading and environment, as handlers written for AWS Lambda rely on them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import agent_harness
from tests.agent_harness import FUNCTIONS, Agent, started_agent
from tests.eventually import eventually_sync


@pytest.fixture
def agent() -> Iterator[Agent]:
    with started_agent() as agent:
        yield agent


@pytest.mark.parametrize(
    ("handler", "result"),
    [
        ("app.handler", "app.handler"),
        ("app.other", "app.other"),
        ("package.module.handler", "package.module"),
        ("package/module.handler", "package.module"),
        ("plain/module.handler", "plain.module"),
        ("./app.handler", "app.handler"),
        ("my-dir/my-app.handler", "my-dir.my-app"),
        ("bom.handler", "a source with a byte-order mark: ü"),
    ],
)
def test_a_handler_is_found_by_module_package_or_folder(agent: Agent, handler: str, result: str) -> None:
    assert agent.load(FUNCTIONS / "layouts", handler).kind == "loaded"
    assert agent.invoke().result == result


def test_a_module_may_be_named_like_one_of_the_standard_library(agent: Agent) -> None:
    agent.load(FUNCTIONS / "named_like_stdlib", "decimal.handler")
    assert agent.invoke().result == "my own decimal"


@pytest.mark.parametrize(
    ("function", "handler", "kind", "message"),
    [
        ("layouts", "handler", "Runtime.MalformedHandlerName", "Bad handler 'handler': expected module.function"),
        ("layouts", ".handler", "Runtime.MalformedHandlerName", "Bad handler '.handler'"),
        ("layouts", "app.", "Runtime.MalformedHandlerName", "Bad handler 'app.'"),
        ("layouts", "app.missing", "Runtime.HandlerNotFound", "Handler 'missing' missing on module 'app'"),
        ("layouts", "app.not_callable", "Runtime.HandlerNotFound", "is not callable"),
        ("layouts", "nowhere.handler", "Runtime.ImportModuleError", "Unable to import module 'nowhere': No module"),
        ("layouts", "time.handler", "Runtime.BuiltInModuleConflict", "Cannot use built-in module time"),
        ("init_missing_module", "app.handler", "Runtime.ImportModuleError", "'module_that_nobody_installed'"),
        ("init_syntax_error", "app.handler", "Runtime.UserCodeSyntaxError", "Syntax error in module 'app'"),
        ("init_raises", "app.handler", "ConnectionRefusedError", "the database is not there"),
        ("init_exits", "app.handler", "Runtime.ExitError", "Runtime exited with error: exit status 3"),
    ],
)
def test_an_import_that_fails_is_an_init_error_of_its_own_type(
    agent: Agent, function: str, handler: str, kind: str, message: str
) -> None:
    frame = agent.load(FUNCTIONS / function, handler)
    assert frame.kind == "load_error"
    assert frame.error["type"] == kind
    assert message in frame.error["message"]
    assert f"[ERROR] {kind}: " in frame.output
    assert frame.header["init_us"] > 0


def test_an_init_error_shows_the_users_own_frames_and_what_was_printed_before_it(agent: Agent) -> None:
    frame = agent.load(FUNCTIONS / "init_raises")
    assert [re.findall(r'init_raises/app.py", line \d+, in (\S+)', entry) for entry in frame.error["stack"]] == [
        ["<module>"],
        ["prepare"],
    ]
    assert frame.output.startswith("printed while importing\n[ERROR] ConnectionRefusedError")
    assert "faas_agent" not in frame.output
    assert "importlib" not in frame.output


def test_a_syntax_error_names_its_line(agent: Agent) -> None:
    frame = agent.load(FUNCTIONS / "init_syntax_error")
    assert "line 4" in frame.error["stack"][-1]
    assert "def handler(event, context)" in frame.error["stack"][-1]


def test_the_module_is_imported_once_and_keeps_its_names_while_warm(agent: Agent) -> None:
    agent.load(FUNCTIONS / "warm")
    assert [agent.invoke().result for _ in range(3)] == [{"calls": n, "imports": 1} for n in (1, 2, 3)]


def test_a_handler_finds_its_folder_its_files_and_a_shell(agent: Agent, tmp_path: Path) -> None:
    code = tmp_path / "code"
    shutil.copytree(FUNCTIONS / "files", code)
    agent.load(code)
    found = agent.invoke().result
    assert found["cwd"] == found["path0"] == found["task_root"] == str(code)
    assert found["beside"] == "the module beside"
    assert found["data"] == "data of the function\n"
    assert found["dotfile"] == "hidden\n"
    assert found["shell"] == "from sh\n"
    assert found["tmp_mode"] == "0o1777"
    assert found["argv"] == [""]
    assert agent.invoke().result["kept"] == found["kept"] + 1


def test_a_thread_that_outlives_the_handler_prints_later_and_breaks_nothing(agent: Agent) -> None:
    agent.load(FUNCTIONS / "outlives")
    assert agent.invoke("thread").output == ""
    later = agent.invoke("go")
    assert later.result == "returned"
    assert "late from the thread\n" in later.output
    assert agent.invoke().output == ""


def test_a_child_process_that_outlives_the_handler_prints_later_and_breaks_nothing(agent: Agent) -> None:
    agent.load(FUNCTIONS / "outlives")
    assert agent.invoke("child").output == ""
    agent.invoke("thread")
    printed = [agent.invoke("go").output]

    def the_child_has_printed() -> bool:
        printed.append(agent.printed())
        return "late from the child\n" in "".join(printed)

    assert eventually_sync(the_child_has_printed)
    assert agent.invoke().result == "returned"


def test_the_environment_is_lambdas(agent: Agent) -> None:
    agent.load(FUNCTIONS / "environment", "app.handler", env={"MINE": "ü=1", "EMPTY": ""})
    found = agent.invoke().result
    env = found["at_import"]
    stream = env.pop("AWS_LAMBDA_LOG_STREAM_NAME")
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[7\][0-9a-f]{32}", stream)
    assert {name: env[name] for name in EXPECTED} == EXPECTED
    assert env["AWS_EXECUTION_ENV"] == f"AWS_Lambda_python{agent.ready['python']}"
    assert env["LAMBDA_TASK_ROOT"] == env["PYTHONPATH"] == str(FUNCTIONS / "environment")
    assert env["LAMBDA_RUNTIME_DIR"] == str(agent_harness.AGENT)
    assert (env["MINE"], env["EMPTY"]) == ("ü=1", "")
    assert found["tzname"] == ["UTC", "UTC"]
    assert found["local_is_utc"]
    assert found["utf8"] == "c3bc"


EXPECTED = {
    "AWS_LAMBDA_FUNCTION_NAME": "thing",
    "AWS_LAMBDA_FUNCTION_VERSION": "7",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
    "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/thing",
    "AWS_REGION": "local",
    "AWS_DEFAULT_REGION": "local",
    "_HANDLER": "app.handler",
    "TZ": ":UTC",
    "LANG": "en_US.UTF-8",
}


def test_the_trace_id_is_set_for_each_invocation_and_absent_while_importing(agent: Agent) -> None:
    agent.load(FUNCTIONS / "environment")
    first = agent.invoke(trace_id="Root=1-a;Sampled=1").result
    assert "_X_AMZN_TRACE_ID" not in first["at_import"]
    assert first["now"]["_X_AMZN_TRACE_ID"] == "Root=1-a;Sampled=1"
    assert "_X_AMZN_TRACE_ID=Root=1-a;Sampled=1\n" in first["child"]
    assert agent.invoke(trace_id="Root=1-b").result["now"]["_X_AMZN_TRACE_ID"] == "Root=1-b"
    assert "_X_AMZN_TRACE_ID" not in agent.invoke(trace_id=None).result["now"]


@pytest.mark.parametrize(
    "meddling", ["sets", "deletes", "clears", "sets past Python", "deletes past Python", "is content"]
)
def test_the_trace_id_is_the_invocations_own_whatever_an_earlier_one_did_to_the_environment(
    agent: Agent, meddling: str
) -> None:
    agent.load(FUNCTIONS / "environment", "app.meddler")
    for trace_id in ("Root=1-a", "Root=1-long;Parent=53995c3f42cd8ad8;Sampled=1", "Root=1-" + "x" * 1000, "Root=1-b"):
        assert agent.invoke(meddling, trace_id=trace_id).result == [trace_id] * 3
    assert agent.invoke(trace_id=None).result == [None, "", ""]
    assert agent.invoke(trace_id="Root=1-c").result == ["Root=1-c"] * 3


def test_the_trace_id_is_in_an_environment_of_the_users_own_too(agent: Agent) -> None:
    agent.load(FUNCTIONS / "environment", "app.meddler")
    assert agent.invoke("replaces").kind == "result"
    assert agent.invoke(trace_id="Root=1-c").result[0] == "Root=1-c"


def test_a_trace_that_the_caller_brought_is_in_the_environment_for_as_long_as_its_attempt(agent: Agent) -> None:
    agent.load(FUNCTIONS / "environment")
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    traced = agent.invoke(trace_id=f"Root=1-a;Sampled=1\n{parent}\na=1,b=2").result
    assert traced["now"]["_X_AMZN_TRACE_ID"] == "Root=1-a;Sampled=1"
    assert (traced["now"]["TRACEPARENT"], traced["now"]["TRACESTATE"]) == (parent, "a=1,b=2")
    assert f"TRACEPARENT={parent}\n" in traced["child"]
    assert (traced["traceparent"], traced["tracestate"]) == (parent, "a=1,b=2")
    stateless = agent.invoke(trace_id=f"Root=1-a;Sampled=1\n{parent}\n").result
    assert stateless["now"]["TRACEPARENT"] == parent
    assert "TRACESTATE" not in stateless["now"]
    assert stateless["tracestate"] == ""
    untraced = agent.invoke(trace_id="Root=1-b").result
    assert not {"TRACEPARENT", "TRACESTATE"} & untraced["now"].keys()
    assert "TRACEPARENT" not in untraced["child"]


def test_the_context_names_the_trace_also_when_the_caller_brought_none(agent: Agent) -> None:
    agent.load(FUNCTIONS / "environment")
    found = agent.invoke(trace_id="Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0").result
    assert found["traceparent"] == "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01"
    assert agent.invoke(trace_id=None).result["traceparent"] == ""


def test_a_million_trace_ids_take_no_memory() -> None:
    script = (
        "import resource, sys; sys.path.insert(0, sys.argv[1])\n"
        "from faas_agent import tracing\n"
        "trace, before = tracing.TraceId(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "for number in range(1_000_000): trace.set(b'Root=1-5759e988-%024x;Parent=53995c3f42cd8ad8' % number)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    command = [sys.executable, "-c", script, str(agent_harness.AGENT)]
    grown_kib = int(subprocess.run(command, capture_output=True, check=True).stdout)
    assert grown_kib < 10_000


def test_a_function_may_set_its_zone_and_path_but_not_its_name(agent: Agent) -> None:
    env = {"TZ": "EST5EDT", "PYTHONPATH": "lib", "AWS_LAMBDA_FUNCTION_NAME": "another", "AWS_REGION": "eu-west-1"}
    agent.load(FUNCTIONS / "environment", env=env)
    found = agent.invoke().result
    assert found["tzname"] == ["EST", "EDT"]
    assert str(FUNCTIONS / "environment" / "lib") in found["path"]
    assert found["now"]["AWS_LAMBDA_FUNCTION_NAME"] == "thing"
    assert found["now"]["AWS_REGION"] == "eu-west-1"


def test_the_agents_own_folder_is_not_in_the_import_path(agent: Agent) -> None:
    agent.load(FUNCTIONS / "environment")
    assert str(agent_harness.AGENT) not in agent.invoke().result["path"]
