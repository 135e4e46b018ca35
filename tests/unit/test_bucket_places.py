"""Which folders may be buckets, and that no link leads one anywhere else."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click
import pytest

from faas import buckets
from faas.cli import agreeing
from faas.core import bucket_places, errors, model
from faas.core import settings as settings_module

V = bucket_places.PlaceVerdict
ROOTS = bucket_places.Roots(Path("/srv/faas"), Path("/srv/faas/buckets"), (Path("/data/in"), Path("/mnt")))


@pytest.mark.parametrize(
    ("place", "verdict"),
    [
        ("/srv/faas/buckets/photos", V.FITS),
        ("/srv/faas/buckets/photos/deep", V.FITS),
        ("/data/in", V.FITS),
        ("/data/in/photos", V.FITS),
        ("/agreed/inbox", V.FITS),
        ("/", V.HOLDS_DATA),
        ("/srv", V.HOLDS_DATA),
        ("/srv/faas", V.IS_DATA),
        ("/srv/faas/journals", V.IS_DATA),
        ("/srv/faas/bucketsbeside", V.IS_DATA),
        ("/srv/faas/buckets", V.HOLDS_BUCKETS),
        ("/proc", V.THE_SYSTEMS),
        ("/proc/1/root", V.THE_SYSTEMS),
        ("/sys/fs/cgroup", V.THE_SYSTEMS),
        ("/dev/shm", V.THE_SYSTEMS),
        ("/etc", V.NOT_BELOW),
        ("/data", V.NOT_BELOW),
        ("/data/inside", V.NOT_BELOW),
        ("/agreed", V.NOT_BELOW),
        ("/agreed/inbox/deeper", V.NOT_BELOW),
    ],
)
def test_a_folder_is_judged_by_where_it_is(place: str, verdict: bucket_places.PlaceVerdict) -> None:
    assert bucket_places.judge(Path(place), ROOTS, {"/agreed/inbox"}) is verdict


@pytest.mark.parametrize("place", ["/", "/srv", "/srv/faas", "/srv/faas/redis", "/proc/self", "/sys", "/dev"])
def test_neither_a_setting_nor_an_agreement_opens_what_is_never_a_bucket(place: str) -> None:
    roots = bucket_places.Roots(ROOTS.data, ROOTS.own, (Path("/"), Path(place)))
    assert bucket_places.judge(Path(place), roots, {place}) is not V.FITS


def test_what_holds_the_buckets_of_a_data_directory_that_keeps_them_elsewhere_is_no_bucket() -> None:
    roots = bucket_places.Roots(Path("/srv/faas"), Path("/mnt/big/buckets"), (Path("/mnt"),))
    assert bucket_places.judge(Path("/mnt/big"), roots, ()) is V.HOLDS_BUCKETS
    assert bucket_places.judge(Path("/mnt/big/buckets/photos"), roots, ()) is V.FITS


@pytest.fixture
def chosen(tmp_path: Path) -> settings_module.Settings:
    (tmp_path / "allowed").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("secret")
    return settings_module.of(data_dir=str(tmp_path / "data"), bucket_roots=str(tmp_path / "allowed"))


def opened(chosen: settings_module.Settings, path: Path | None, name: str = "own") -> buckets.Bucket:
    return buckets.opener(chosen.data)(model.Bucket(name=name, path=None if path is None else str(path)))


def refuses_everything(bucket: buckets.Bucket) -> None:
    """Whatever is asked of it."""
    for ask in (
        lambda: bucket.open("secret"),
        lambda: bucket.stat("secret"),
        lambda: bucket.begin("new"),
        lambda: buckets.put(bucket, "new", b"x"),
        lambda: bucket.delete("secret"),
        lambda: bucket.list(),
        lambda: bucket.look("secret", buckets.Sign.FOUND),
        bucket.sweep,
        lambda: bucket.watch(lambda: None).since(""),
    ):
        with pytest.raises(errors.Conflict, match="may not be in"):
            ask()


def test_a_bucket_outside_of_the_roots_gives_nothing_and_takes_nothing(
    chosen: settings_module.Settings, tmp_path: Path
) -> None:
    refuses_everything(opened(chosen, tmp_path / "outside"))
    assert [path.name for path in (tmp_path / "outside").iterdir()] == ["secret"]


def test_a_bucket_below_a_root_is_made_when_it_is_first_used(chosen: settings_module.Settings, tmp_path: Path) -> None:
    bucket = opened(chosen, tmp_path / "allowed" / "deep" / "own")
    assert bucket.list() == []
    buckets.put(bucket, "a/b", b"x")
    assert (tmp_path / "allowed" / "deep" / "own" / "a" / "b").read_bytes() == b"x"


def test_no_folder_is_made_where_none_may_be(chosen: settings_module.Settings, tmp_path: Path) -> None:
    with pytest.raises(errors.Conflict):
        buckets.put(opened(chosen, tmp_path / "outside" / "new" / "deep"), "k", b"x")
    (tmp_path / "allowed" / "link").symlink_to(tmp_path / "outside")
    with pytest.raises(errors.Conflict):
        buckets.put(opened(chosen, tmp_path / "allowed" / "link" / "new"), "k", b"x")
    (tmp_path / "allowed" / "dangling").symlink_to(tmp_path / "outside" / "made")
    with pytest.raises(errors.FaasError):
        buckets.put(opened(chosen, tmp_path / "allowed" / "dangling"), "k", b"x")
    assert [path.name for path in (tmp_path / "outside").iterdir()] == ["secret"]


@pytest.mark.parametrize("swapped", ["own", "above", "root"])
def test_a_link_that_takes_the_place_of_a_bucket_or_of_a_folder_above_it_leads_nowhere(
    swapped: str, chosen: settings_module.Settings, tmp_path: Path
) -> None:
    folder = tmp_path / "allowed" / "above" / "own"
    bucket = opened(chosen, folder)
    buckets.put(bucket, "k", b"x")
    (tmp_path / "outside" / "own").mkdir()
    (tmp_path / "outside" / "above" / "own").mkdir(parents=True)
    for each in ("own", "above/own"):
        (tmp_path / "outside" / each / "secret").write_text("secret")
    at = {"own": folder, "above": folder.parent, "root": tmp_path / "allowed"}[swapped]
    at.rename(tmp_path / "away")
    at.symlink_to(tmp_path / "outside" / "own" if swapped == "own" else tmp_path / "outside")
    refuses_everything(bucket)


def test_a_link_in_place_of_a_bucket_without_a_path_leads_nowhere(
    chosen: settings_module.Settings, tmp_path: Path
) -> None:
    bucket = opened(chosen, None)
    buckets.put(bucket, "k", b"x")
    (tmp_path / "data" / "buckets" / "own").rename(tmp_path / "away")
    (tmp_path / "data" / "buckets" / "own").symlink_to(tmp_path / "outside")
    refuses_everything(bucket)
    assert bucket_places.refusals(bucket_places.BucketPlaces(chosen.data), [model.Bucket(name="own")])


def test_an_operator_may_lead_a_bucket_without_a_path_to_a_root(
    chosen: settings_module.Settings, tmp_path: Path
) -> None:
    (tmp_path / "data" / "buckets").mkdir(parents=True)
    (tmp_path / "data" / "buckets" / "own").symlink_to(tmp_path / "allowed")
    buckets.put(opened(chosen, None), "k", b"x")
    assert (tmp_path / "allowed" / "k").read_bytes() == b"x"


def test_a_folder_is_judged_anew_after_an_agreement_and_after_it_was_taken_back(
    chosen: settings_module.Settings, tmp_path: Path
) -> None:
    bucket = opened(chosen, tmp_path / "outside")
    refuses_everything(bucket)
    (tmp_path / "data").mkdir()
    agreed = tmp_path / "data" / bucket_places.AGREED_FILE
    agreed.write_text(f'["{tmp_path}/outside"]')
    assert [each.key for each in bucket.list()] == ["secret"]
    agreed.write_text("[")
    refuses_everything(bucket)
    agreed.unlink()
    refuses_everything(bucket)


@pytest.mark.parametrize(
    "path", ["", ".", "in", "../etc", "a\0b", "/" + "x" * 5000, "/etc", "/etc/../etc", "/proc/self/root/etc", "//etc"]
)
def test_what_is_no_place_for_a_bucket_is_refused_at_the_deploy(path: str, chosen: settings_module.Settings) -> None:
    project = model.Project(functions=(), buckets=(model.Bucket(name="own", path=path),))
    with pytest.raises((errors.BadRequest, errors.Conflict)):
        bucket_places.settled(project, chosen.data)


def test_a_link_at_the_deploy_is_judged_and_kept_as_the_folder_that_it_leads_to(
    chosen: settings_module.Settings, tmp_path: Path
) -> None:
    (tmp_path / "allowed" / "real").mkdir()
    (tmp_path / "in").symlink_to(tmp_path / "allowed" / "real")
    (tmp_path / "allowed" / "out").symlink_to(tmp_path / "outside")
    places = bucket_places.BucketPlaces(chosen.data)
    kept = places.settled(model.Bucket(name="own", path=str(tmp_path / "in")))
    assert kept.path == str(tmp_path / "allowed" / "real")
    with pytest.raises(errors.Conflict):
        places.settled(model.Bucket(name="own", path=str(tmp_path / "allowed" / "out")))


@pytest.mark.parametrize("roots", ["relative", "/a:relative", ":/a", "/a::/b", "./a"])
def test_roots_that_are_not_absolute_are_refused(roots: str) -> None:
    with pytest.raises(errors.BadRequest, match="BUCKET_ROOTS"):
        settings_module.load({"FAAS_BUCKET_ROOTS": roots})


def project_with(folder: Path, **paths: Path) -> model.Project:
    return model.Project(
        functions=(), buckets=tuple(model.Bucket(name=name, path=str(path)) for name, path in paths.items())
    )


def agree(project: model.Project, folder: Path, chosen: settings_module.Settings, *, agrees: bool) -> None:
    with click.Context(click.Command("deploy")):
        agreeing.see_to(project, folder / "faas.yaml", chosen, agrees=agrees)


def test_a_folder_of_the_project_is_agreed_to_once_and_no_other(
    chosen: settings_module.Settings, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    folder = tmp_path / "project"
    project = project_with(folder, inbox=folder / "inbox", out=tmp_path / "outside", fits=tmp_path / "allowed" / "x")
    with pytest.raises(errors.Conflict, match="nobody is here to agree"):
        agree(project, folder, chosen, agrees=False)
    assert not (tmp_path / "data" / bucket_places.AGREED_FILE).exists()
    agree(project, folder, chosen, agrees=True)
    agree(project, folder, chosen, agrees=False)
    places = bucket_places.BucketPlaces(chosen.data)
    assert places.verdict(str(folder / "inbox")) is V.FITS
    assert places.verdict(str(tmp_path / "outside")) is V.NOT_BELOW
    assert os.stat(tmp_path / "data" / bucket_places.AGREED_FILE).st_mode & 0o077 == 0


def test_nobody_agrees_to_the_data_directory_or_the_system_though_they_be_in_the_project(
    chosen: settings_module.Settings, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    never: dict[str, Any] = {"data": tmp_path / "data", "up": tmp_path, "keys": tmp_path / "data" / "redis"}
    assert agreeing.unsettled(project_with(tmp_path, **never), tmp_path, bucket_places.BucketPlaces(chosen.data)) == []
