"""The bill of materials of an artifact, as CycloneDX 1.6: what was installed, read from the artifact itself.

Every package that uv installs leaves a folder ``NAME-VERSION.dist-info`` beside its code. What a function copied into
its source by hand leaves none and is not listed.
"""

from __future__ import annotations

import email.message
import email.parser
import re
import tarfile
import uuid
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

import msgspec

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_METADATA = re.compile(r"[^/]+\.dist-info/METADATA")
_MOST_METADATA_BYTES = 1024 * 1024
_SPACE = uuid.UUID("6f1c2a0e-6f0b-5c0e-9d43-2f6f3f6a9f0b")
"""Makes one artifact's document carry the same serial number whenever it is written."""


class Package(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """An installed package; ``requires`` are the names of those that it always needs."""

    name: str
    version: str
    license: str = ""
    requires: tuple[str, ...] = ()

    @property
    def purl(self) -> str:
        """The package URL of a package."""
        return f"pkg:pypi/{self.name}@{self.version}"


def packages(artifact: BinaryIO) -> list[Package]:
    """What is installed in an artifact, by name."""
    with tarfile.open(fileobj=artifact, mode="r:", encoding="utf-8") as tar:
        return sorted(_read(tar))


def document(function: str, revision: int, digest: str, found: Iterable[Package]) -> dict[str, Any]:
    """The CycloneDX document of a revision, the same byte for byte for the same artifact and revision."""
    installed = list(found)
    root = f"{function}@{revision}"
    known = {package.name: package.purl for package in installed}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(_SPACE, f'{root} {digest}')}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": root,
                "name": function,
                "version": str(revision),
                "hashes": [{"alg": "SHA-256", "content": digest}],
            }
        },
        "components": [_component(package) for package in installed],
        "dependencies": [
            {"ref": root, "dependsOn": sorted(known.values())},
            *(
                {"ref": package.purl, "dependsOn": sorted(known[name] for name in package.requires if name in known)}
                for package in installed
            ),
        ],
    }


def _read(tar: tarfile.TarFile) -> Iterator[Package]:
    for entry in tar:
        if entry.isreg() and entry.size <= _MOST_METADATA_BYTES and _METADATA.fullmatch(entry.name):
            content = tar.extractfile(entry)
            if content is not None:
                yield from _package(email.parser.BytesParser().parsebytes(content.read(), headersonly=True))


def _package(told: email.message.Message) -> Iterator[Package]:
    """The package that a METADATA file describes; none when it names none that can be one."""
    name, version = _field(told, "Name"), _field(told, "Version")
    if _NAME.fullmatch(name) and version:
        yield Package(
            name=_canonical(name),
            version=version,
            license=_field(told, "License-Expression") or _field(told, "License"),
            requires=tuple(sorted(_required(told))),
        )


def _required(told: email.message.Message) -> set[str]:
    lines = (str(line) for line in told.get_all("Requires-Dist", []))
    always = (line for line in lines if "extra" not in line.partition(";")[2])
    return {_canonical(found[0]) for line in always if (found := _NAME.match(line))}


def _component(package: Package) -> dict[str, Any]:
    component = {
        "type": "library",
        "bom-ref": package.purl,
        "name": package.name,
        "version": package.version,
        "purl": package.purl,
    }
    return component | ({"licenses": [{"license": {"name": package.license}}]} if package.license else {})


def _field(told: email.message.Message, name: str) -> str:
    return " ".join(str(told.get(name, "")).split())[:200]


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
