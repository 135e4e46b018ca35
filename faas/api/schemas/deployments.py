"""Deployments."""

from __future__ import annotations

import msgspec


class DeploymentId(msgspec.Struct, frozen=True):
    """The deployment that was queued."""

    id: str
