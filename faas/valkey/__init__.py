"""The embedded server: its process, its files and their syncing; and whether any server is fit to hold invocations."""
