from __future__ import annotations

import io
from pathlib import Path

from faas import artifacts
from faas.artifacts import sbom

METADATA = "Metadata-Version: 2.1\nName: {}\nVersion: {}\n{}\n\nA long description\nName: not-this\n"


def packed(root: Path, files: dict[str, bytes | str]) -> tuple[str, io.BytesIO]:
    for name, content in files.items():
        path = root / "files" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    store = artifacts.Artifacts(root)
    digest, path = store.pack(root / "files")
    return digest, io.BytesIO(path.read_bytes())


def test_packages_are_listed_with_version_license_and_what_they_need(tmp_path: Path) -> None:
    digest, artifact = packed(
        tmp_path,
        {
            "app.py": "",
            "Some_Name-1.0.dist-info/METADATA": METADATA.format(
                "Some_Name",
                "1.0",
                "License-Expression: MIT\nRequires-Dist: other>=1\nRequires-Dist: gone; extra == 'x'",
            ),
            "other-2.dist-info/METADATA": METADATA.format("other", "2", "License: BSD"),
        },
    )
    made = sbom.document("hello", 3, digest, sbom.packages(artifact))
    assert (made["bomFormat"], made["specVersion"]) == ("CycloneDX", "1.6")
    assert made["metadata"]["component"]["hashes"] == [{"alg": "SHA-256", "content": digest}]
    assert [(each["name"], each["version"], each["licenses"][0]["license"]["name"]) for each in made["components"]] == [
        ("other", "2", "BSD"),
        ("some-name", "1.0", "MIT"),
    ]
    assert made["components"][1]["purl"] == "pkg:pypi/some-name@1.0"
    assert made["dependencies"] == [
        {"ref": "hello@3", "dependsOn": ["pkg:pypi/other@2", "pkg:pypi/some-name@1.0"]},
        {"ref": "pkg:pypi/other@2", "dependsOn": []},
        {"ref": "pkg:pypi/some-name@1.0", "dependsOn": ["pkg:pypi/other@2"]},
    ]
    assert made == sbom.document("hello", 3, digest, sbom.packages(io.BytesIO(artifact.getvalue())))
    assert made["serialNumber"] != sbom.document("hello", 4, digest, [])["serialNumber"]


def test_odd_metadata_is_passed_over(tmp_path: Path) -> None:
    _, artifact = packed(
        tmp_path,
        {
            "a-1.dist-info/METADATA": b"\xff\xfe\x00",
            "b-1.dist-info/METADATA": "Name: b\n",
            "c-1.dist-info/METADATA/inner": "Name: c\nVersion: 1\n",
            "deep/d-1.dist-info/METADATA": METADATA.format("d", "1", ""),
            "e-1.dist-info/METADATA": b"Name: e\nVersion: 1\nX: " + b"x" * 2_000_000,
            "f-1.dist-info/METADATA": METADATA.format("f\n evil", "1", "Requires-Dist: a"),
            "g-1.dist-info/METADATA": METADATA.format("g", "1", "Requires-Dist: @@@"),
        },
    )
    assert [package.name for package in sbom.packages(artifact)] == ["g"]


def test_a_function_without_requirements_has_no_components(tmp_path: Path) -> None:
    digest, artifact = packed(tmp_path, {"app.py": ""})
    assert sbom.document("hello", 1, digest, sbom.packages(artifact))["components"] == []
