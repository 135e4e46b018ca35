"""What whoever calls a command has chosen, and what is as it is by default."""

from __future__ import annotations

import click


def is_default(option: str) -> bool:
    """Whether nobody chose the value of an option of the command that runs."""
    source = click.get_current_context().get_parameter_source(option)
    return source is click.core.ParameterSource.DEFAULT
