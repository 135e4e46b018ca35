"""The command line, and the composition of every process that it starts."""
