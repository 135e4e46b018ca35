"""`make demo`: real photographs from a bucket to a bill, on a platform of their own that ends with the demo."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

import click

from examples.photos.demo import failures, interrupts, platform, report, story

CHECKOUT = Path(__file__).parents[3]
FAULTY, INTERRUPTED = 1, 130


@click.command()
@click.option("--photos", envvar="PHOTOS", metavar="DIR", help="Photographs of your own [env PHOTOS].")
@click.option("--results", type=click.Path(path_type=Path), default=CHECKOUT / "build" / "demo", show_default=True)
def main(*, photos: str | None, results: Path) -> None:
    """Drop photographs into a bucket and watch them become thumbnails, an archive and a bill."""
    own_folder = Path(photos).expanduser().absolute() if photos else None
    sys.exit(run(own_folder, results.absolute()))


def run(own_folder: Path | None, results: Path) -> int:
    """Tell the story, end the platform whatever happened, and keep its data directory unless all is well."""
    say = report.Report()
    base = Path(tempfile.mkdtemp(prefix="faas-demo-"))
    own = platform.Platform(base / "data", os.environ)
    plan = story.Plan(own_folder=own_folder, results=results, work=base / "made")
    code = FAULTY
    try:
        with interrupts.raised():
            faults = story.tell(plan, own, say)
        code = FAULTY if faults else 0
        for fault in faults:
            say.fault(fault)
    except failures.Interrupted as interrupted:
        code = INTERRUPTED
        say.fault(f"interrupted ({interrupted})")
    except (failures.Failed, OSError) as error:  # OSError: the disk, or a folder that is not ours
        say.fault(str(error))
    finally:
        say.step("faas down")
        code = code if _ended(own, say) else code or FAULTY
        _clear_up(base, own, code, say)
    say.say(f"{'done' if code == 0 else 'failed'} after {say.elapsed_s:.1f} s")
    return code


def _ended(own: platform.Platform, say: report.Report) -> bool:
    try:
        own.stop()
    except failures.Failed as error:
        say.fault(str(error))
        return False
    return True


def _clear_up(base: Path, own: platform.Platform, code: int, say: report.Report) -> None:
    if code == 0:
        shutil.rmtree(base)
    elif own.logs.is_dir():
        say.say(f"the data directory is kept: {own.data_dir}")
        say.say(f"logs are in {own.logs}")
    else:
        shutil.rmtree(base)


if __name__ == "__main__":
    main()
