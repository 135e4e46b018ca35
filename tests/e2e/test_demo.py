"""`make demo` as a person runs it: the program in a process of its own, its real output, real signals."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from faas.cli import platform_dir
from tests import eventually

CHECKOUT = Path(__file__).parents[2]
ORIGINALS = CHECKOUT / "examples/photos/originals"
WITHIN_S = 150

pytestmark = pytest.mark.timeout(3 * WITHIN_S)


class Demo:
    """A demo that runs, and what it has said so far."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self._log = log

    @property
    def said(self) -> str:
        return self._log.read_text()

    @property
    def data_dir(self) -> Path:
        found = re.search(r"data directory (\S+)\)", self.said)
        assert found, self.said
        return Path(found[1])

    def says(self, text: str) -> None:
        eventually.eventually_sync(lambda: text in self.said or self.process.poll() is not None, within=WITHIN_S)
        assert text in self.said, self.said

    def ends(self) -> int:
        return self.process.wait(WITHIN_S)


@contextmanager
def running(folder: Path, photos: Path) -> Iterator[Demo]:
    environ = {**os.environ, "PHOTOS": str(photos)}
    command = [sys.executable, "-m", "examples.photos.demo", "--results", str(folder / "results")]
    with (folder / "demo.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=CHECKOUT, env=environ, stdout=log, stderr=log, start_new_session=True)
    demo = Demo(process, folder / "demo.log")
    try:
        yield demo
    finally:
        process.terminate()  # it ends its platform; when it has ended already, nothing happens
        process.wait(WITHIN_S)
        if "data directory" in demo.said:
            shutil.rmtree(demo.data_dir.parent, ignore_errors=True)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "trip ä").mkdir(parents=True)
    shutil.copy(ORIGINALS / "rocket.jpg", folder / "trip ä" / "50% + 1.JPG")
    shutil.copy(ORIGINALS / "chelsea.png", folder / "chelsea.png")
    return folder


def test_the_demo_ends_well_when_every_photo_has_its_outputs_and_leaves_only_results(
    tmp_path: Path, photos: Path
) -> None:
    with running(tmp_path, photos) as demo:
        assert demo.ends() == 0, demo.said
        assert "photos/in/trip ä/50% + 1.JPG" in demo.said
        assert not demo.data_dir.parent.exists()
    assert (tmp_path / "results/contact-sheet.png").stat().st_size > 1000
    assert (tmp_path / "results/thumbs/small/trip ä/50% + 1.JPG.webp").is_file()


def test_the_demo_names_each_photo_that_is_none_and_goes_on_with_the_others(tmp_path: Path, photos: Path) -> None:
    (photos / "empty.jpg").write_bytes(b"")
    (photos / "cut.jpg").write_bytes((ORIGINALS / "rocket.jpg").read_bytes()[:20_000])
    with running(tmp_path, photos) as demo:
        assert demo.ends() == 1, demo.said
        faults = [line for line in demo.said.splitlines() if line.startswith("FAILED")]
        assert [line.split()[1] for line in faults] == ["photos/in/cut.jpg", "photos/in/empty.jpg"]
        assert all("NotAPhoto" in line for line in faults)
        assert f"logs are in {demo.data_dir}" in demo.said
        assert platform_dir.running(demo.data_dir) is None
    assert (tmp_path / "results/thumbs/full/chelsea.png.webp").is_file()


@pytest.mark.parametrize("moment", ["faas up --detach", "faas deploy", "Dropping 2"])
def test_ctrl_c_ends_the_platform_at_any_moment_and_keeps_its_data_directory(
    tmp_path: Path, photos: Path, moment: str
) -> None:
    with running(tmp_path, photos) as demo:
        demo.says(moment)
        demo.process.send_signal(signal.SIGINT)
        assert demo.ends() == 130, demo.said
        assert "interrupted (SIGINT)" in demo.said
        assert platform_dir.running(demo.data_dir) is None
