"""How far a deployment is: its steps, what they cost in time, and how it ended.

The life of a step::

    waiting ──► running ──► done | failed
       └──────► skipped

What is written while it runs is one `Change` after the other, each of the size of a step; `changed` puts them together.
"""

from __future__ import annotations

import contextlib
import enum
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from faas.core import errors

FUNCTION_STEPS = ("validate", "resolve", "compile", "pack", "load")
PROJECT_STEPS = ("activate",)


class State(enum.StrEnum):
    """Where a deployment is."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class StepState(enum.StrEnum):
    """Where a step is. ``skipped`` says that there was nothing to do; the step's note says why."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    SKIPPED = "skipped"
    FAILED = "failed"


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step; of the whole project when ``function`` is None."""

    function: str | None
    name: str
    state: StepState = StepState.WAITING
    started_at_ms: int | None = None
    ended_at_ms: int | None = None
    note: str = ""


class Deployed(msgspec.Struct, frozen=True, kw_only=True):
    """What serves a function after the deployment; ``changed`` is False when it did before, too."""

    function: str
    revision: int
    artifact: str
    changed: bool


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment as the control API shows it. ``error`` has the shape of every error's ``error`` object.

    ``changes`` is how often it has changed: whoever asks again with that as ``since`` gets only later steps.
    """

    id: str
    state: State = State.QUEUED
    created_at_ms: int = 0
    steps: tuple[Step, ...] = ()
    functions: tuple[Deployed, ...] = ()
    error: dict[str, Any] | None = None
    changes: int = 0


class Change(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A step as it is from now on, or a state of the whole: ``running`` begins a run, and every step waits again."""

    step: Step | None = None
    state: State | None = None
    functions: tuple[Deployed, ...] = ()
    error: dict[str, Any] | None = None


def planned(id: str, functions: Sequence[str]) -> Deployment:
    """A deployment that has not begun, with all its steps."""
    steps = [Step(function=function, name=name) for function in functions for name in FUNCTION_STEPS]
    steps += [Step(function=None, name=name) for name in PROJECT_STEPS]
    return Deployment(id=id, created_at_ms=_made_at_ms(id), steps=tuple(steps))


def changed(deployment: Deployment, changes: Sequence[Change]) -> Deployment:
    """The deployment after further changes. The work grows with the steps and the changes, not with their product."""
    steps = {(step.function, step.name): step for step in deployment.steps}
    told: dict[str, Any] = {"changes": deployment.changes + len(changes)}
    for change in changes:
        if change.state is State.RUNNING:  # a second run does not show the steps of the first
            steps = {key: Step(function=step.function, name=step.name) for key, step in steps.items()}
        if change.state is not None:
            told |= {"state": change.state, "functions": change.functions, "error": change.error}
        if change.step is not None:
            steps[change.step.function, change.step.name] = change.step
    return msgspec.structs.replace(deployment, steps=tuple(steps.values()), **told)


def later(id: str, since: int, changes: Sequence[Change]) -> Deployment | None:
    """The deployment with those steps alone that changed after the first ``since`` changes; ``changes`` begin with the
    last of these, which says what became of the whole when none is later.

    None when it takes all changes to tell: a run has begun since then, or so many changes were never made.
    """
    if not changes or any(change.state is State.RUNNING for change in changes[1:]):
        return None
    begun = Deployment(id=id, state=State.RUNNING, created_at_ms=_made_at_ms(id), changes=since - 1)
    return changed(msgspec.structs.replace(changed(begun, changes[:1]), steps=()), changes[1:])


def interrupted(deployment: Deployment) -> Deployment:
    """A deployment that is given up, because its worker was killed more often than is put down to bad luck."""
    return failed(
        deployment,
        errors.Unavailable("the build was interrupted", hint="deploy again; the builder's log may say why it ended"),
    )


def failed(deployment: Deployment, error: errors.FaasError) -> Deployment:
    """A deployment as an error has ended it."""
    return msgspec.structs.replace(deployment, state=State.FAILED, error=error.body()["error"])


class Progress:
    """Tells of a deployment while it runs: hands every change to ``save``, some together where they come together."""

    def __init__(self, save: Callable[[Sequence[Change]], None]) -> None:
        self._save = save

    def begin(self) -> None:
        """Say that the deployment runs, from its beginning."""
        self._save([Change(state=State.RUNNING)])

    def end(self, functions: Sequence[Deployed]) -> None:
        """Say that every function is deployed."""
        self._save([Change(state=State.DONE, functions=tuple(functions))])

    def fail(self, error: errors.FaasError) -> None:
        """Say that nothing of the deployment serves."""
        self._save([Change(state=State.FAILED, error=error.body()["error"])])

    @contextlib.contextmanager
    def step(self, function: str | None, name: str) -> Iterator[Callable[[str], None]]:
        """Run a step; what is yielded takes the step's note. Steps of several functions may run at once."""
        notes: list[str] = []
        running = Step(function=function, name=name, state=StepState.RUNNING, started_at_ms=_now_ms())
        self._tell([running])
        try:
            yield notes.append
        except BaseException:
            self._tell([_ended(running, StepState.FAILED, notes)])
            raise
        self._tell([_ended(running, StepState.DONE, notes)])

    def skip(self, skipped: Mapping[tuple[str, str], str]) -> None:
        """There is nothing to do in steps: (function, step) to the note that says why."""
        if skipped:
            state = StepState.SKIPPED
            self._tell([Step(function=of, name=name, state=state, note=note) for (of, name), note in skipped.items()])

    def _tell(self, steps: Sequence[Step]) -> None:
        self._save([Change(step=step) for step in steps])


def _ended(running: Step, state: StepState, notes: Sequence[str]) -> Step:
    return msgspec.structs.replace(running, state=state, ended_at_ms=_now_ms(), note="; ".join(notes))


def _made_at_ms(id: str) -> int:
    """The moment that the id of a deployment holds, a UUIDv7."""
    return int(id.replace("-", "")[:12], 16)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
