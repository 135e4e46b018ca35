"""What uv says when requirements cannot be installed, in words of the person who wrote them."""

from __future__ import annotations

import re

import msgspec

from faas import artifacts
from faas.core import errors
from faas.runtimes.python import requirements, target

_UNSATISFIABLE = ", we can conclude that your requirements are unsatisfiable."
_REASONS = re.compile(r"\b(?:[Bb]ecause|conclude)\b")
_POSITION = re.compile(r"Couldn't parse requirement in `[^`]*` at position (\d+)")
_MISSING = re.compile(r"Because (\S+) was not found in the package registry")
_NO_VERSION = re.compile(r"Because there (?:is|are) no versions? of ((\S+?)(?:[=<>!~{].*?)?) and ")
_ONLY_VERSIONS = re.compile(
    r"Because only (.+?) (?:is|are) available and (?:you require|.+ depends on) ((\S+?)[=<>!~].*?),"
)
_NO_WHEEL = re.compile(
    r"(?:Because|And because) (?:all versions of )?(([A-Za-z0-9._-]+)\S*) (?:has|have) no (?:usable )?wheels"
)
_TAGS = re.compile(r"we only found wheels for .* with the following (.+? tags?): (.+)")
_HASH = re.compile(r"Hash mismatch for `((\S+?)(?:[=<>!~ ][^`]*)?)`.*?Computed: (\S+)")
_HTTP = re.compile(r"HTTP status client error \((\d+ [^)]*)\) for url \(([^)]*)\)")
_NETWORK = ("Failed to fetch", "Request failed", "Failed to download", "error sending request")
_FULL = ("No space left on device", "Disk quota exceeded")


class _Said(msgspec.Struct, frozen=True):
    """uv's last word: the line that begins with ``error:``, the causes under it, and the hints."""

    headline: str
    causes: tuple[str, ...]
    hints: tuple[str, ...]

    @property
    def text(self) -> str:
        return " ".join((self.headline, *self.causes))


def explain(
    stderr: str, asked: requirements.Requirements, runtime: target.Target, secret_paths: tuple[str, ...] = ()
) -> errors.FaasError:
    """The error to raise for what uv wrote to stderr. ``secret_paths`` are the builder's own and left out of it."""
    for path in secret_paths:
        stderr = stderr.replace(path + "/", "").replace(path, ".")
    said = _parse(stderr)
    if any(sign in said.text for sign in _FULL):
        return artifacts.full()
    for reading in (_syntax, _missing, _no_version, _no_wheel, _hash, _network):
        error = reading(said, asked, runtime)
        if error is not None:
            return error
    return _other(said, asked)


def _parse(stderr: str) -> _Said:
    lines = stderr.splitlines()
    start = next((at for at, line in enumerate(lines) if line.startswith("error:")), None)
    if start is None:
        return _Said(lines[-1].strip() if lines else "uv ended and said nothing", (), ())
    causes: list[str] = []
    hints: list[str] = []
    for line in lines[start + 1 :]:
        if line.startswith("  cause:"):
            causes.append(line.removeprefix("  cause:").strip())
        elif line.startswith("hint:"):
            hints.append(line.removeprefix("hint:").strip())
        elif line.startswith("     ") and causes and not hints:
            causes[-1] += "\n" + line[9:]
    return _Said(lines[start].removeprefix("error:").strip(), tuple(causes), tuple(hints))


def _syntax(said: _Said, asked: requirements.Requirements, _runtime: target.Target) -> errors.BuildFailed | None:
    found = _POSITION.search(said.headline)
    if found is None:
        return None
    line = _line_at(asked, int(found[1]))
    return _failed(asked, line, said.causes[0] if said.causes else "cannot be understood", "see PEP 508 for the form")


def _missing(said: _Said, asked: requirements.Requirements, _runtime: target.Target) -> errors.BuildFailed | None:
    found = _MISSING.search(_flat(said))
    if found is None:
        return None
    name = _package(found[1])
    return _failed(asked, asked.of(name), f"the package index has no package {name}", "check how its name is written")


def _no_version(said: _Said, asked: requirements.Requirements, _runtime: target.Target) -> errors.BuildFailed | None:
    flat = _flat(said)
    if found := _ONLY_VERSIONS.search(flat):
        return _failed(asked, asked.of(found[3]), f"there is no version {found[2]}; there is {found[1]}")
    if found := _NO_VERSION.search(flat):
        return _failed(asked, asked.of(found[2]), f"there is no version {found[1]}")
    return None


def _no_wheel(said: _Said, asked: requirements.Requirements, runtime: target.Target) -> errors.BuildFailed | None:
    found = _NO_WHEEL.search(_flat(said))
    if found is None:
        return None
    tags = next((match for hint in said.hints if (match := _TAGS.search(hint))), None)
    others = f" (its wheels are for the {tags[1]} {tags[2]})" if tags else ""
    return _failed(
        asked,
        asked.of(_package(found[2])),
        f"{found[1]} has no wheel for {runtime}{others}",
        "pin another version, or build a wheel and put it into the source folder:"
        " a deploy installs wheels only, since building would run the package's code",
    )


def _hash(said: _Said, asked: requirements.Requirements, _runtime: target.Target) -> errors.BuildFailed | None:
    found = _HASH.search(_flat(said))
    if found is None:
        return None
    why = f"{found[1]} is not the file that its --hash names: what the index has is {found[3]}"
    return _failed(asked, asked.of(found[2]), why, "if you trust the index, write that hash")


def _network(said: _Said, asked: requirements.Requirements, _runtime: target.Target) -> errors.FaasError | None:
    if found := _HTTP.search(said.text):
        line = next((line for line in asked.lines if found[2] in line.text), None)
        return _failed(asked, line, f"{found[2]} answered {found[1]}")
    if not any(sign in said.text for sign in _NETWORK):
        return None
    return errors.Unavailable(
        f"the package index cannot be reached: {said.causes[-1] if said.causes else said.headline}",
        hint="the builder needs to reach the index, or uv a configuration that names one it can reach",
    )


def _other(said: _Said, asked: requirements.Requirements) -> errors.BuildFailed:
    why = _sentence(_flat(said)) if said.causes else said.headline
    conflict = said.headline.startswith("No solution found")
    named = sorted({line.number for line in asked.lines if line.name and _mentions(why, line.name)}) if conflict else []
    line = next((line for line in asked.lines if line.number in named), None)
    text = f"the requirements cannot be met together: {why}" if conflict else why
    return _failed(asked, line, text)


def _sentence(why: str) -> str:
    """uv's reasoning, whole: one that is no longer than a clause loses the words around it, and nothing else."""
    clause = why.removesuffix(".").removesuffix(_UNSATISFIABLE.removesuffix("."))
    is_one = clause != why.removesuffix(".") and clause.startswith("Because ") and _REASONS.search(clause[8:]) is None
    return clause.removeprefix("Because ") if is_one else why


def _failed(
    asked: requirements.Requirements, line: requirements.RequirementLine | None, why: str, hint: str = ""
) -> errors.BuildFailed:
    if line is None:
        return errors.BuildFailed(f"{asked.file}: {why}", hint=hint, file=asked.file)
    return errors.BuildFailed(f"{line.where}: {why}", hint=hint, file=line.file, line=line.number)


def _line_at(asked: requirements.Requirements, position: int) -> requirements.RequirementLine | None:
    """The line at an offset of the file that uv got, which has one line for each of ours."""
    for line in asked.lines:
        position -= len(line.text.encode()) + 1
        if position < 0:
            return line
    return None


def _flat(said: _Said) -> str:
    return re.sub(r"\s+", " ", " ".join(said.causes))


def _package(text: str) -> str:
    return re.split(r"[=<>!~\[{]", text, maxsplit=1)[0]


def _mentions(text: str, name: str) -> bool:
    words = re.findall(r"[A-Za-z0-9][A-Za-z0-9._-]*", text)
    return name in {requirements.canonical(word) for word in words}
