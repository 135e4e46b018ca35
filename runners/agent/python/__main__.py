"""Entry of the sandbox. Guarded: `multiprocessing` imports the main module again in processes that it spawns."""

from __future__ import annotations

import importlib

if __name__ == "__main__":
    importlib.import_module("faas_agent.main").main()
