"""The port of languages. Whoever starts sandboxes or builds functions knows a language by this alone."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import msgspec

from faas.core import errors, model
from faas.runtimes import children, installed


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """What the containers of a runtime start from, and how it is had: found, pulled or built, then made ready once."""

    setting: str = ""
    """The setting by which an operator names an image, for hints."""
    named: str = ""
    """The image that this setting names; only that one is taken then."""
    pulled: str
    like: str = ""
    """A regular expression of tags that will do if they are there; its group is a number, and the largest is taken."""
    packages: tuple[str, ...]
    """The Debian packages of an image that is built where none can be pulled."""
    prepare: tuple[str, ...]
    """A command that runs in it once, as root. The last line of its stdout says ``runtime=python3.11``."""
    needs: str = ""
    """What an image must have, for people."""


class Agent(msgspec.Struct, frozen=True):
    """The folder of the agent, and the pattern of those of its files that sandboxes get a copy of."""

    folder: Path
    files: str = "*"


class Compiled(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a source. ``note`` and ``remarks`` are told who deploys it; one with a ``fault`` is refused."""

    note: str
    remarks: tuple[str, ...] = ()
    fault: errors.BuildFailed | None = None


class Packages(Protocol):
    """What a requirements file of a source asks for."""

    @property
    def key(self) -> str:
        """Names all that decides what is installed: with the same key it is installed once."""

    def install(self, files: Path, work: Path, programs: children.Programs) -> list[str]:
        """Install into the empty folder ``files``; the names of what was. ``work`` is for files on the way.

        ``work/downloads`` may hold what earlier calls downloaded, and may be kept for later ones. Raises
        `errors.BuildFailed` in the user's words, `errors.TooLarge` and `errors.Unavailable`.
        """


class Build(Protocol):
    """What a build does for a language."""

    def key(self, has: installed.Installed) -> str:
        """Names all that decides what `compile` makes, beside the source."""

    def packages(self, source: Path, file: str, has: installed.Installed) -> Packages:
        """Read a requirements file of a source. Raises `errors.BuildFailed` naming file and line of what is refused."""

    def compile(
        self, function: model.FunctionSpec, folder: Path, has: installed.Installed, programs: children.Programs
    ) -> Compiled:
        """Add to a copy of the source what saves cold starts work, and see that the handler's file can be loaded.

        The folder's files are links, so they are replaced, never written to. Raises `errors.BuildFailed` when the
        deadline passes.
        """


class Runtime(Protocol):
    """One language."""

    @property
    def name(self) -> str:
        """What a manifest writes for any version of it: ``python3``. Sandboxes are made and kept ready by it."""

    @property
    def image(self) -> Image:
        """What its containers start from."""

    @property
    def agent(self) -> Agent:
        """What runs in its sandboxes."""

    @property
    def build(self) -> Build:
        """What a build does for it."""

    def takes(self, asked: str) -> bool:
        """Whether a manifest's ``runtime: asked`` means this language, in whatever version."""

    def here(self) -> str | None:
        """The version that processes of this host have, as ``python3.11``; None when this host has none."""

    def make_ready(self, agent: Path, has: str) -> None:
        """Add to a fresh copy of the agent what saves starts of the version ``has`` work. Blocks."""

    def command(self, agent: str, link: str) -> list[str]:
        """How a container starts the agent in the folder ``agent``; its socket is in the folder ``link``."""

    def command_here(self, agent: str, link: str) -> list[str]:
        """How a process of this host does."""
