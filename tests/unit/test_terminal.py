"""What a terminal is shown of text that is anybody's."""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faas.cli import terminal

CLI = Path(terminal.__file__).parent


class Terminal(io.StringIO):
    """A stream that says it is one."""

    def isatty(self) -> bool:
        return True


def test_what_a_stream_has_no_character_for_is_written_as_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="latin-1"))
    terminal.open_streams()
    sys.stdout.write("ü 日")
    sys.stdout.flush()
    assert raw.getvalue() == b"\xfc \\u65e5"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, Grüße, 日本, 👍\ttab\nline", "plain, Grüße, 日本, 👍\ttab\nline"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("done\rfailed", "done\\x0dfailed"),
        ("\x9b2J\x7f\x00", "\\x9b2J\\x7f\\x00"),
        ("user\u202etxt.exe", "user\\u202etxt.exe"),
        ("a\u200bb\u2066c\ufeff\u2028", "a\\u200bb\\u2066c\\ufeff\\u2028"),
        ("\U000e0041", "\\U000e0041"),
        ("\udcff", "\\udcff"),
    ],
)
def test_a_terminal_is_shown_what_it_would_obey(text: str, shown: str) -> None:
    assert terminal.shown(text, Terminal()) == shown


@given(st.text(st.characters(codec=None)))
def test_a_pipe_gets_what_was_said(text: str) -> None:
    assert terminal.shown(text, io.StringIO()) == text
    assert terminal.shown_json(text, io.StringIO()) == text


@given(st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_json_on_a_terminal_means_what_it_meant(value: object) -> None:
    document = terminal.shown_json(json.dumps(value, ensure_ascii=False), Terminal())
    assert json.loads(document) == value
    assert terminal.shown(document, Terminal()) == document


def test_no_command_writes_past_what_knows_terminals() -> None:
    """`output` and `failures` write; click writes completion scripts, which are all the platform's own words."""
    writers = {"output.py", "failures.py", "completion.py"}
    writes = re.compile(r"^\s*(click\.(secho|echo)|print)\(", re.MULTILINE)
    found = {path.name for path in CLI.glob("*.py") if writes.search(path.read_text())}
    assert found - {"init.py"} <= writers
