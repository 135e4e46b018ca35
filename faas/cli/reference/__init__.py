"""The reference pages that are made from the code: `make docs` writes them, and a test says when they are stale."""
