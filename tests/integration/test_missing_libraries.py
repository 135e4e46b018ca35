"""An import that fails because the image lacks a library says so in one line, once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.agent_harness import started_agent

WRAPPED = '''
try:
    import ctypes
    ctypes.CDLL("libnot-there.so.3")
except OSError as error:
    raise ImportError("""

IMPORTANT: PLEASE READ THIS FOR ADVICE ON HOW TO SOLVE THIS ISSUE!
""", name="wrapped.core") from error
'''


@pytest.mark.parametrize(
    ("module", "who"),
    [
        ("import ctypes\nctypes.CDLL('libnot-there.so.3')\n", "it"),
        ("raise ImportError('libnot-there.so.3: cannot open shared object file: No such file or directory',"
         " name='cv2')\n", "cv2"),
        (WRAPPED, "it"),
    ],
)  # fmt: skip
def test_a_missing_library_is_one_line_once(tmp_path: Path, module: str, who: str) -> None:
    (tmp_path / "app.py").write_text("import os\nimport wrapped\n")
    (tmp_path / "wrapped.py").write_text(module)
    with started_agent() as agent:
        frame = agent.load(tmp_path)
    message = (
        f"Unable to import module 'app': {who} needs the library libnot-there.so.3, which the sandbox's image does not"
        " have (app.py, line 2)"
    )
    assert frame.error == {"type": "Runtime.ImportModuleError", "message": message, "stack": []}
    assert frame.output == f"[ERROR] Runtime.ImportModuleError: {message}\n"


def test_so_is_one_that_is_too_old(tmp_path: Path) -> None:
    text = "/lib/libstdc++.so.6: version `GLIBCXX_3.4.99' not found (required by /var/task/x.so)"
    (tmp_path / "app.py").write_text(f"raise ImportError({text!r}, name='x')\n")
    with started_agent() as agent:
        message = agent.load(tmp_path).error["message"]
    assert "x needs GLIBCXX_3.4.99, and libstdc++.so.6 of the sandbox's image is older (app.py, line 1)" in message


@pytest.mark.parametrize("text", ["data.so: cannot open shared object file: Permission denied", "no library", "a.txt"])
def test_another_failure_is_told_as_it_is(tmp_path: Path, text: str) -> None:
    (tmp_path / "app.py").write_text(f"raise OSError({text!r})\n")
    with started_agent() as agent:
        error = agent.load(tmp_path).error
    assert (error["type"], error["message"]) == ("OSError", text)
    assert error["stack"]
