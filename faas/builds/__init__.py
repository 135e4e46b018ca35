"""Builds: source in, functions that serve out; as RQ jobs, with progress."""

from faas.builds.deployments import Builds
from faas.builds.progress import Deployed, Deployment, State, Step, StepState
from faas.builds.worker import worker_main

__all__ = ["Builds", "Deployed", "Deployment", "State", "Step", "StepState", "worker_main"]
