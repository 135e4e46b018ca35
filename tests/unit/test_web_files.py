"""The table of the page's files: what is in it, under which addresses, and what is not."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from faas.web import files

SHELL = b'<!doctype html><link rel="icon" href="/static/icon.svg"><script src="/static/app.js"></script>\n'


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "pages").mkdir()
    (tmp_path / "index.html").write_bytes(SHELL)
    (tmp_path / "app.js").write_text("import './pages/one.js';\n" + "// much of the same\n" * 50)
    (tmp_path / "pages" / "one.js").write_text("export default 1;\n")
    (tmp_path / "icon.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    return tmp_path


def test_the_page_links_to_files_under_a_digest_of_all(home: Path) -> None:
    found = files.load(home)
    assert found.shell is not None
    assert f'src="/static/{found.digest}/app.js"'.encode() in found.shell.body
    assert f'href="/static/{found.digest}/icon.svg"'.encode() in found.shell.body
    assert found.find(f"{found.digest}/pages/one.js") == (found.of_path["pages/one.js"], True)


@pytest.mark.parametrize("changed", ["index.html", "app.js", "pages/one.js"])
def test_the_digest_is_another_when_any_file_is(home: Path, changed: str) -> None:
    before = files.load(home).digest
    (home / changed).write_bytes((home / changed).read_bytes() + b"\n")
    assert files.load(home).digest != before


def test_a_file_is_found_without_the_digest_but_not_for_good(home: Path) -> None:
    found = files.load(home)
    assert found.find("app.js") == (found.of_path["app.js"], False)


@pytest.mark.parametrize(
    "path", ["", ".", "..", "../x", "pages", "pages/", "/app.js", "APP.JS", "app.js/", "pages/../app.js", "index.html"]
)
def test_nothing_but_the_files_is_found(home: Path, path: str) -> None:
    found = files.load(home)
    assert found.find(path)[0] is None
    assert found.find(f"{found.digest}/{path}")[0] is None


def test_hidden_files_and_links_are_left_out(home: Path) -> None:
    (home / ".app.js.swp").write_text("secret")
    (home / ".git").mkdir()
    (home / ".git" / "config").write_text("secret")
    (home / "passwd").symlink_to("/etc/passwd")
    assert set(files.load(home).of_path) == {"app.js", "pages/one.js", "icon.svg"}


def test_types_are_those_that_browsers_ask_for(home: Path) -> None:
    for name in ("a.css", "a.woff2", "a.png", "LICENSE", "a.html", "a.exe"):
        (home / name).write_bytes(b"x")
    media = {path: file.media for path, file in files.load(home).of_path.items()}
    assert media["app.js"] == "text/javascript; charset=utf-8"
    assert media["icon.svg"] == "image/svg+xml"
    assert (media["a.css"], media["a.png"], media["a.woff2"]) == ("text/css; charset=utf-8", "image/png", "font/woff2")
    assert media["LICENSE"] == media["a.exe"] == "text/plain; charset=utf-8"


def test_what_packs_well_is_packed_once(home: Path) -> None:
    (home / "noise.png").write_bytes(bytes(range(256)))
    found = files.load(home).of_path
    assert found["noise.png"].packed is None
    packed = found["app.js"].packed
    assert packed is not None
    assert gzip.decompress(packed) == found["app.js"].body


def test_without_a_folder_there_is_no_page(tmp_path: Path) -> None:
    found = files.load(tmp_path / "nowhere")
    assert (found.shell, dict(found.of_path)) == (None, {})
