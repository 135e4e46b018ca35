"""How far a deployment is: its steps, what they cost in time, and how it ended.

The life of a step::

    waiting ──► running ──► done | failed
       └──────► skipped
"""

from __future__ import annotations

import contextlib
import enum
import time
from collections.abc import Callable, Iterator, Sequence
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
    """A deployment as the control API shows it. ``error`` has the shape of every error's ``error`` object."""

    id: str
    state: State = State.QUEUED
    created_at_ms: int = 0
    steps: tuple[Step, ...] = ()
    functions: tuple[Deployed, ...] = ()
    error: dict[str, Any] | None = None


def planned(id: str, functions: Sequence[str]) -> Deployment:
    """A deployment that has not begun, with all its steps."""
    steps = [Step(function=function, name=name) for function in functions for name in FUNCTION_STEPS]
    steps += [Step(function=None, name=name) for name in PROJECT_STEPS]
    return Deployment(id=id, created_at_ms=_now_ms(), steps=tuple(steps))


def interrupted(deployment: Deployment) -> Deployment:
    """The same deployment, given up: its worker was killed more often than is put down to bad luck."""
    return failed(
        deployment,
        errors.Unavailable("the build was interrupted", hint="deploy again; the builder's log may say why it ended"),
    )


def failed(deployment: Deployment, error: errors.FaasError) -> Deployment:
    """The same deployment, ended by an error."""
    return msgspec.structs.replace(deployment, state=State.FAILED, error=error.body()["error"])


class Progress:
    """Keeps a deployment's state while it runs, and hands every change to ``save``."""

    def __init__(self, deployment: Deployment, save: Callable[[Deployment], None]) -> None:
        self.deployment = planned_again(deployment)
        self._save = save

    def begin(self) -> None:
        """It runs."""
        self._set(state=State.RUNNING)

    def end(self, functions: Sequence[Deployed]) -> None:
        """All of it is deployed."""
        self._set(state=State.DONE, functions=tuple(functions))

    def fail(self, error: errors.FaasError) -> None:
        """Nothing of it is deployed."""
        self.deployment = failed(self.deployment, error)
        self._save(self.deployment)

    @contextlib.contextmanager
    def step(self, function: str | None, name: str) -> Iterator[Callable[[str], None]]:
        """Run a step; what is yielded takes the step's note."""
        notes: list[str] = []
        self._change(function, name, state=StepState.RUNNING, started_at_ms=_now_ms())
        try:
            yield notes.append
        except BaseException:
            self._change(function, name, state=StepState.FAILED, ended_at_ms=_now_ms(), note="; ".join(notes))
            raise
        self._change(function, name, state=StepState.DONE, ended_at_ms=_now_ms(), note="; ".join(notes))

    def skip(self, function: str | None, name: str, note: str) -> None:
        """There is nothing to do in a step."""
        self._change(function, name, state=StepState.SKIPPED, note=note)

    def _change(self, function: str | None, name: str, **changes: Any) -> None:
        self._set(
            steps=tuple(
                msgspec.structs.replace(step, **changes) if (step.function, step.name) == (function, name) else step
                for step in self.deployment.steps
            )
        )

    def _set(self, **changes: Any) -> None:
        self.deployment = msgspec.structs.replace(self.deployment, **changes)
        self._save(self.deployment)


def planned_again(deployment: Deployment) -> Deployment:
    """The deployment from its beginning: a second run does not show the steps of the first."""
    steps = tuple(Step(function=step.function, name=step.name) for step in deployment.steps)
    return Deployment(id=deployment.id, created_at_ms=deployment.created_at_ms, steps=steps)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
