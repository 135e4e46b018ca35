"""What contains user code: the port of sandboxes, and the containers and processes behind it."""
