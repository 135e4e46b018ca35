"""Copies of a platform's ledger, queue, artifacts and settings, each in one file, taken while it runs; and back."""
