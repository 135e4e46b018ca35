"""The recorder: brings records of attempts from Redis to every sink. One leaves Redis when all have committed it."""

from faas.recorder.port import Sink
from faas.recorder.recording import run
from faas.recorder.spending import Spending, watch

__all__ = ["Sink", "Spending", "run", "watch"]
