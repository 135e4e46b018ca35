"""The data directory is its owner's alone, also one that was open before; buckets have the modes that people gave."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from faas import buckets
from faas.cli import platform_dir
from faas.core import model
from faas.core import settings as settings_module
from runners.engines import folder


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.fixture
def closed_umask() -> Iterator[None]:
    """The platform's own umask, for one test."""
    before = os.umask(0o022)
    platform_dir.keep_to_owner()
    yield
    os.umask(before)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A data directory of a time when everybody could read, and write, in it."""
    root = tmp_path / "data"
    for name in ("logs", "redis", "artifacts", "buckets/shared"):
        (root / name).mkdir(parents=True)
    for name in ("token", "ledger.db", "faas.toml", "buckets/shared/object"):
        (root / name).write_text("secret")
        (root / name).chmod(0o666)
    for name in ("", "logs", "redis", "artifacts", "buckets", "buckets/shared"):
        (root / name).chmod(0o777)
    return root


def test_an_open_data_directory_is_closed_with_all_in_it_but_the_buckets(old: Path) -> None:
    said: list[str] = []
    platform_dir.prepare(old, said.append)
    assert mode(old) == 0o700
    for name in ("logs", "redis", "artifacts"):
        assert mode(old / name) == 0o700, name
    for name in ("token", "ledger.db", "faas.toml"):
        assert mode(old / name) == 0o600, name
    assert [mode(old / name) for name in ("buckets", "buckets/shared", "buckets/shared/object")] == [
        0o777,
        0o777,
        0o666,
    ]
    assert said == [f"{old} was open to other users (mode 0777); it is closed now, with all in it"]
    platform_dir.prepare(old, said.append)
    assert len(said) == 1


def test_what_a_link_in_it_leads_to_keeps_its_mode(old: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("x")
    (tmp_path / "elsewhere").chmod(0o666)
    (old / "link").symlink_to(tmp_path / "elsewhere")
    (old / "nowhere").symlink_to(tmp_path / "gone")
    platform_dir.prepare(old, lambda _: None)
    assert mode(tmp_path / "elsewhere") == 0o666


@pytest.mark.usefixtures("closed_umask")
@pytest.mark.parametrize(
    ("of_bucket", "of_folders", "of_objects"),
    [(0o755, 0o755, 0o644), (0o700, 0o700, 0o600), (0o777, 0o755, 0o644), (0o750, 0o750, 0o640)],
)
def test_objects_are_open_to_whom_the_bucket_is(
    of_bucket: int, of_folders: int, of_objects: int, tmp_path: Path
) -> None:
    chosen = settings_module.of(data_dir=str(tmp_path / "data"))
    root = tmp_path / "data" / "buckets" / "shared"
    root.mkdir(parents=True)
    root.chmod(of_bucket)
    (root / "theirs").write_text("x")
    (root / "theirs").chmod(0o604)
    bucket = buckets.opener(chosen.data)(model.Bucket(name="shared"))
    buckets.put(bucket, "deep/er/object", b"x")
    assert [mode(root / name) for name in ("", "deep", "deep/er")] == [of_bucket, of_folders, of_folders]
    assert mode(root / "deep/er/object") == of_objects
    assert mode(root / "theirs") == 0o604


@pytest.mark.usefixtures("closed_umask")
def test_a_bucket_that_the_platform_makes_is_its_own(tmp_path: Path) -> None:
    chosen = settings_module.of(data_dir=str(tmp_path / "data"))
    (tmp_path / "data").mkdir(mode=0o700)
    buckets.put(buckets.opener(chosen.data)(model.Bucket(name="own")), "a/k", b"x")
    own = tmp_path / "data" / "buckets" / "own"
    assert [mode(path) for path in (own, own / "a", own / "a/k")] == [0o700, 0o700, 0o600]


@pytest.mark.usefixtures("closed_umask")
def test_the_code_in_a_sandbox_can_be_read_by_its_user_whatever_the_umask_is(tmp_path: Path) -> None:
    code = tmp_path / "code"
    (code / "package" / "deep").mkdir(parents=True)
    (code / "package" / "deep" / "app.py").write_text("")
    (code / "package" / "deep" / "app.py").chmod(0o444)
    made = folder.Folder(tmp_path / "sandbox")
    made.make()
    made.place(code)
    assert [mode(made.task / name) for name in ("", "package", "package/deep")] == [0o755] * 3
    assert mode(made.task / "package/deep/app.py") == 0o444
