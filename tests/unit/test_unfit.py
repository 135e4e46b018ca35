"""What lies in a bucket's folder and cannot become an event, and how it is told."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from faas.buckets.folder import bucket as folders
from faas.core import model
from faas.health import facts
from faas.health import unfit as health
from faas.queue import unfit as told
from triggers import matching, unfit

_DEEP = "/".join(["d" * 200] * 5)


def _found(folder: Path) -> dict[str, str]:
    return {each.name: each.why for each in folders.BucketFolder("b", folder).unfit()}


def test_whatever_is_no_object_is_found_with_the_reason(tmp_path: Path) -> None:
    root = os.fsencode(tmp_path)
    Path(tmp_path / "in").mkdir()
    for name in (b"in/good.txt", b"in/\xc3\xbc.txt", b"in/\xff.txt", b".hidden", b"in/.faas-1"):
        with open(root + b"/" + name, "wb"):
            pass
    os.mkdir(root + b"/in/b\xe4d")
    with open(root + b"/in/b\xe4d/x", "wb"):
        pass
    os.mkfifo(tmp_path / "in" / "pipe")
    (tmp_path / "in" / "link").symlink_to("good.txt")
    (tmp_path / "away").symlink_to("/etc")
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(tmp_path / "sock"))
    assert _found(tmp_path) == {
        "in/\udcff.txt": "its name is not UTF-8",
        "in/b\udce4d/": "its name is not UTF-8, and so is nothing in it",
        "in/pipe": "it is a pipe, which has no content of its own",
        "in/link": "it is a link, and links are not followed",
        "away": "it is a link, and links are not followed",
        "sock": "it is a socket",
    }
    sock.close()


def test_a_key_that_is_too_long_is_found_at_the_folder_or_the_file_that_makes_it_so(tmp_path: Path) -> None:
    (tmp_path / _DEEP).mkdir(parents=True)
    (tmp_path / _DEEP / "short").touch()
    (tmp_path / _DEEP / ("n" * 100)).touch()
    (found,) = _found(tmp_path).items()
    assert found == (f"{_DEEP}/{'n' * 100}", "its key is longer than 1024 bytes")


def test_what_may_not_be_read_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may read everything, so the system says no here by the test's word."""
    (tmp_path / "secret").touch()
    (tmp_path / "closed").mkdir()
    opened = os.open

    def refuse(path: str, *given: Any, **named: Any) -> int:
        if path == "closed":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return opened(path, *given, **named)

    monkeypatch.setattr(os, "open", refuse)
    monkeypatch.setattr(os, "access", lambda *_, **__: False)
    assert _found(tmp_path) == {
        "secret": "the platform's user may not read it",
        "closed/": "the folder cannot be read: Permission denied",
    }


def test_a_bucket_that_is_not_there_yet_holds_nothing_unfit(tmp_path: Path) -> None:
    assert _found(tmp_path / "none") == {}


def _rules(**fields: object) -> list[matching.Rule]:
    trigger = model.UploadTrigger(bucket="b", **fields)  # type: ignore[arg-type]
    config = model.FunctionConfig(runtime="python3", handler="app.handler", triggers=(trigger,))
    revision = model.Revision(function="f", number=1, artifact="0" * 64, config=config, created_at_ms=0)
    return [matching.Rule(revision, 0, trigger)]


@pytest.mark.parametrize(
    ("name", "does"),
    [
        ("in/\udcff.jpg", True), ("in/\udcff.png", False), ("out/\udcff.jpg", False), ("in/b\udcff/", True),
        ("i/", False), ("in/\udcff.part", False),
    ],
)  # fmt: skip
def test_only_what_a_trigger_would_want_is_told(name: str, does: bool) -> None:
    assert unfit.concerns(_rules(prefix="in/", suffix=(".jpg",)), name) is does


def test_a_folder_on_the_way_to_what_a_trigger_wants_concerns_it() -> None:
    assert unfit.concerns(_rules(prefix="a/b/c"), "a/b/")


def test_a_name_can_be_shown_whatever_it_is() -> None:
    assert unfit.printable("in/\udcff\n\x1b[31mü") == "in/\\xff\\n\\x1b[31mü"
    assert len(unfit.printable("x" * 5_000)) == 300


def test_the_doctor_names_some_and_counts_the_rest() -> None:
    assert health.fact({}).state is facts.Severity.OK
    assert health.fact({"b": told.Told(0)}).state is facts.Severity.OK
    shown = tuple((f"x{number}", "it is a socket") for number in range(5))
    fact = health.fact({"b": told.Told(7, shown)})
    assert fact.state is facts.Severity.WARNING
    assert fact.text == ("no events of b/x0: it is a socket; b/x1: it is a socket; b/x2: it is a socket; and 4 more")
    assert "UTF-8" in fact.hint
