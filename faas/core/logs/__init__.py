"""What functions print: what a line says besides its text, which lines somebody wants, and no line shown twice."""
