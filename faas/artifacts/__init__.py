"""Code bundles, addressed by what they hold."""

from faas.artifacts.disk import full, is_full, out_of_space
from faas.artifacts.store import Artifacts
from faas.artifacts.tarball import ArchiveLimits, BadTar, extract

__all__ = ["ArchiveLimits", "Artifacts", "BadTar", "extract", "full", "is_full", "out_of_space"]
