"""Python functions: their image, their agent's copy, their packages (by uv) and their bytecode."""
