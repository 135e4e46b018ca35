"""Whose fault the end of an attempt is: the error that a status is for whoever waited. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from faas.core import errors, model

_KINDS: Mapping[model.Status, tuple[type[errors.FaasError], str]] = {
    model.Status.ERROR: (errors.FunctionFailed, "{} failed"),
    model.Status.TIMEOUT: (errors.FunctionTimedOut, "{} ran into its timeout"),
    model.Status.OOM: (errors.FunctionFailed, "{} failed"),
    model.Status.INIT_ERROR: (errors.FunctionFailed, "{} failed"),
    model.Status.LOST: (errors.Unavailable, "the platform lost this attempt of {}"),
    model.Status.REJECTED: (errors.Unavailable, "the platform did not run {}"),
}


def of(status: model.Status) -> errors.Fault | None:
    """Whose fault it is; None when it went well."""
    return None if status is model.Status.OK else _KINDS[status][0].fault


def error(status: model.Status, function: str, why: str = "", /, *, hint: str = "", **data: Any) -> errors.FaasError:
    """The error of an attempt of a function that did not go well, for people with the reason where there is one."""
    kind, text = _KINDS[status]
    message = text.format(function)
    return kind(f"{message}: {why}" if why else message, hint=hint, **data)
