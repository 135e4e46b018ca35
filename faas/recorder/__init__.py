"""The recorder: brings records of attempts from Redis to every sink. One leaves Redis when all have committed it."""

from faas.recorder.port import Sink
from faas.recorder.recording import run

__all__ = ["Sink", "run"]
