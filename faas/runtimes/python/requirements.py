"""Reading requirements files that anyone may have written.

What uv gets is never the user's file but lines made from it here: in a requirements file, options such as
``--no-binary`` would let uv build packages, which runs their code on this machine, and ``-r`` and ``${NAME}`` would
read the machine's files and environment. What is not known to be harmless is refused, with its line.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec

from faas.core import errors
from faas.core.manifest import written_paths
from faas.core.values import texts

_VARIABLE = re.compile(r"\$\{[A-Z0-9_]+\}")
_SHORT = re.compile(r"(-[a-zA-Z])(?:\s*=?\s*)(.*)")
_LONG = re.compile(r"(--[a-z][a-z-]*)(?:(?:\s*=\s*|\s+)(.*))?")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_DIRECT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\s*(?:\[[^\]]*\])?\s*@\s*(?P<target>\S+)")
_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):")
# uv decodes %2e and takes file:, C: and \\ for places of its own: a path of the source has to be written plainly.
_PLAIN_PATH = re.compile(r"[\w.+!/-]+")
_NAMED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\s*(?:\[[^\]]*\])?\s*(?:[<>=!~;(@#\[].*|--hash=.*)?")
_ARCHIVE = re.compile(r"\.(whl|egg|zip|tar|tar\.\w+|tgz|tbz2?|txz|tlz|tzst)$", re.IGNORECASE)
_INCLUDES = {"-r": False, "--requirement": False, "-c": True, "--constraint": True}
_INDEXES = {"-i": "--index-url", "--index-url": "--index-url", "--extra-index-url": "--extra-index-url"}
_FLAGS = {
    "--pre": ("--prerelease=allow",),
    "--no-index": ("--no-index",),
    "--require-hashes": ("--require-hashes",),
    "--prefer-binary": (),
}
_MAX_BYTES = 1024 * 1024


class RequirementLine(msgspec.Struct, frozen=True):
    """One requirement and where it stands, for people."""

    file: str
    number: int
    text: str

    @property
    def where(self) -> str:
        """``file:line``."""
        return f"{self.file}:{self.number}"

    @property
    def name(self) -> str | None:
        """The package's name as indexes compare it; None for a path or URL alone."""
        found = _NAME.match(self.text)
        return None if found is None or _is_target(self.text) else canonical(found[0])


class Requirements(msgspec.Struct, frozen=True, kw_only=True):
    """All that a requirements file and those it includes ask for. ``wheels`` are files of the source folder."""

    file: str
    lines: tuple[RequirementLine, ...] = ()
    constraints: tuple[RequirementLine, ...] = ()
    options: tuple[str, ...] = ()
    wheels: tuple[str, ...] = ()

    def of(self, name: str) -> RequirementLine | None:
        """The line that asks for a package, if one does."""
        return next((line for line in self.lines if line.name == canonical(name)), None)


def canonical(name: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read(source: Path, file: str) -> Requirements:
    """Read ``file`` of the folder ``source``. Raises `errors.BuildFailed` naming file and line of what is refused."""
    return _Reader(source, file).read()


class _Reader:
    def __init__(self, source: Path, file: str) -> None:
        self._source = source.resolve()
        self._file = file
        self._lines: dict[bool, list[RequirementLine]] = {False: [], True: []}
        self._options: list[str] = []
        self._wheels: list[str] = []
        self._seen: set[Path] = set()

    def read(self) -> Requirements:
        self._include(self._file, self._source, constraint=False, asked_by=None)
        return Requirements(
            file=self._file,
            lines=tuple(self._lines[False]),
            constraints=tuple(self._lines[True]),
            options=tuple(self._options),
            wheels=tuple(self._wheels),
        )

    def _include(self, name: str, folder: Path, *, constraint: bool, asked_by: RequirementLine | None) -> None:
        path = written_paths.resolved(folder, name)
        if path is None or not path.is_relative_to(self._source):
            raise _refused(asked_by, f"{name[:200]} is outside of the source folder")
        if path in self._seen:
            return
        self._seen.add(path)
        file = path.relative_to(self._source).as_posix()
        for number, text in _logical_lines(_text(path, file, asked_by)):
            line = RequirementLine(file, number, text)
            if _VARIABLE.search(text):
                raise _refused(line, "environment variables are not put into requirements")
            if text.startswith("-"):
                self._option(line, path.parent, constraint=constraint)
            else:
                self._requirement(line)
                self._lines[constraint].append(line)

    def _option(self, line: RequirementLine, folder: Path, *, constraint: bool) -> None:
        found = _LONG.fullmatch(line.text) or _SHORT.fullmatch(line.text)
        option, value = (found[1], (found[2] or "").strip()) if found else (line.text, "")
        if option in _FLAGS and not value:
            self._options.extend(_FLAGS[option])
        elif option == "--only-binary" and value == ":all:":
            return
        elif not value or re.search(r"\s", value) or value.startswith("-"):
            raise _refused(line, f"{line.text} is no option that a deploy takes")
        elif option in _INCLUDES:
            self._include(value, folder, constraint=constraint or _INCLUDES[option], asked_by=line)
        elif option in _INDEXES and value.startswith(("https://", "http://")):
            self._options += [_INDEXES[option], value]
        elif option in ("-f", "--find-links"):
            self._options += ["--find-links", self._link(line, value)]
        else:
            raise _refused(line, f"{option} is not possible: a deploy installs wheels and runs no code of a package")

    def _link(self, line: RequirementLine, value: str) -> str:
        if value.startswith(("https://", "http://")):
            return value
        folder = self._inside(line, value)
        if not written_paths.is_kind(folder, stat.S_ISDIR):
            raise _refused(line, f"there is no folder {value} in the source")
        self._wheels += sorted(path.relative_to(self._source).as_posix() for path in folder.glob("*.whl"))
        return "./" + folder.relative_to(self._source).as_posix()

    def _requirement(self, line: RequirementLine) -> None:
        words = line.text.split()
        for word in words[1:]:
            if word.startswith("-") and not word.startswith("--hash="):
                raise _refused(line, f"{word} is no option of a requirement")
        direct = _DIRECT.match(line.text)
        if direct is not None:
            self._target(line, direct["target"])
            _check_rest(line, line.text[direct.end() :])
        elif _is_target(line.text):
            self._target(line, words[0])
            _check_rest(line, line.text.partition(words[0])[2])
        elif _NAMED.fullmatch(line.text) is None:
            raise _refused(line, f"{words[0]} is neither a package nor a wheel: a path begins with ./ and ends in .whl")

    def _target(self, line: RequirementLine, target: str) -> None:
        scheme = _SCHEME.match(target)
        if scheme is None:
            self._local_wheel(line, target)
        elif scheme["scheme"].lower() not in ("https", "http"):
            raise _refused(line, f"{target} cannot be installed: only wheels from an index, a URL or the source folder")
        elif not re.split(r"[?#]", target)[0].endswith(".whl"):
            raise _refused(line, f"{target} is no wheel, and building it would run its code during the deploy")

    def _local_wheel(self, line: RequirementLine, target: str) -> None:
        path = self._inside(line, target)
        if path.suffix != ".whl":
            raise _refused(line, f"{target} is no wheel, and building it would run its code during the deploy")
        if not written_paths.is_kind(path, stat.S_ISREG):
            raise _refused(line, f"there is no file {target[:200]} in the source")
        self._wheels.append(path.relative_to(self._source).as_posix())

    def _inside(self, line: RequirementLine, target: str) -> Path:
        if _PLAIN_PATH.fullmatch(target) is None:
            raise _refused(line, f"{target} is no plain path: letters, digits and any of . _ + ! / - are possible")
        path = written_paths.resolved(self._source, target)
        if path is None or not path.is_relative_to(self._source):
            raise _refused(line, f"{target[:200]} is outside of the source folder")
        return path


def _check_rest(line: RequirementLine, rest: str) -> None:
    """After a path or a URL there is nothing but a marker and hashes."""
    if rest.strip() and not rest.strip().startswith((";", "--hash=")):
        raise _refused(line, f"{rest.strip()} stands where only a marker (; …) or --hash= may")


def _is_target(text: str) -> bool:
    """Whether a requirement is a path or a URL and not a name."""
    word = text.split()[0]
    return bool(_SCHEME.match(word) or word.startswith((".", "/", "~")) or _ARCHIVE.search(word))


def _text(path: Path, file: str, asked_by: RequirementLine | None) -> str:
    if not written_paths.is_kind(path, stat.S_ISREG):
        raise _refused(asked_by, f"there is no file {file[:200]} in the source")
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise _refused(asked_by, f"{file} is larger than {_MAX_BYTES} bytes")
        return texts.decoded(path.read_bytes())
    except UnicodeDecodeError as error:
        raise _not_text(file, asked_by, error) from error


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines with their number, as pip reads them: a backslash at the end joins, comments and blanks are left out."""
    joined, first = "", 0
    for number, line in enumerate(text.splitlines(), start=1):
        first = first if joined else number
        is_comment = line.lstrip().startswith("#")
        joined += f" {line}" if is_comment else line
        if joined.endswith("\\") and not is_comment:
            joined = joined[:-1]
            continue
        if stripped := _stripped(joined):
            yield first, stripped
        joined = ""
    if stripped := _stripped(joined):
        yield first, stripped


def _not_text(file: str, asked_by: RequirementLine | None, error: UnicodeDecodeError) -> errors.BuildFailed:
    at = error.object[: error.start].count(b"\n") + 1
    named = f"{asked_by.where}: " if asked_by is not None else ""
    return errors.BuildFailed(
        f"{named}{file}:{at}: this is not UTF-8 text", hint="save it as UTF-8 in your editor", file=file, line=at
    )


def _stripped(line: str) -> str:
    """A line without its comment, and with one space for each run of blanks: over long runs, patterns take for ever."""
    at = line.find("#")
    while at > 0 and not line[at - 1].isspace():
        at = line.find("#", at + 1)
    return " ".join((line if at < 0 else line[:at]).split())


def _refused(line: RequirementLine | None, why: str) -> errors.BuildFailed:
    if line is None:
        return errors.BuildFailed(why, hint="`requirements` names a file in the function's source folder")
    return errors.BuildFailed(f"{line.where}: {why}", file=line.file, line=line.number)
