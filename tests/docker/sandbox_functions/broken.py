"""A module that cannot be imported."""

print("before it breaks")
raise RuntimeError("broken on purpose")
