"""What contains user code, wherever it is: the port of sandboxes, and the channel to the agent in one."""
