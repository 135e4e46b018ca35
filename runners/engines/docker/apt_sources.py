"""Where this machine gets its Debian or Ubuntu packages from, as lines that a bootstrap of the same release takes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

ETC = Path("/etc/apt")


def lines_for(release: str, etc: Path = ETC) -> list[str]:
    """``deb URI SUITE COMPONENTS`` of the release, its updates and its security; empty leaves the choice to the tool.

    Sources of other releases and of third parties are left out.
    """
    found: list[str] = []
    for path in [etc / "sources.list", *sorted((etc / "sources.list.d").glob("*"))]:
        if path.suffix == ".list" and path.is_file():
            found += _one_line_style(path.read_text(errors="replace"), release)
        elif path.suffix == ".sources" and path.is_file():
            found += _deb822_style(path.read_text(errors="replace"), release)
    return list(dict.fromkeys(found))


def _one_line_style(text: str, release: str) -> Iterator[str]:
    for line in text.splitlines():
        line = line.partition("#")[0].strip()
        if line.startswith("deb ") and "[" in line:
            line = "deb " + line.partition("]")[2].strip()
        words = line.split()
        if len(words) > 3 and words[0] == "deb" and _is_of(words[2], release):
            yield " ".join(words)


def _deb822_style(text: str, release: str) -> Iterator[str]:
    for stanza in text.split("\n\n"):
        fields = _fields(stanza)
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() in ("no", "false"):
            continue
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                if _is_of(suite, release) and fields.get("components"):
                    yield f"deb {uri} {suite} {' '.join(fields['components'].split())}"


def _fields(stanza: str) -> dict[str, str]:
    found: dict[str, str] = {}
    last = ""
    for line in stanza.splitlines():
        if line.startswith("#"):
            continue
        if line[:1].isspace() and last:
            found[last] += " " + line.strip()
        elif ":" in line:
            last, _, value = line.partition(":")
            last = last.strip().lower()
            found[last] = value.strip()
    return found


def _is_of(suite: str, release: str) -> bool:
    return suite == release or suite.startswith(f"{release}-")
