"""What happens, told as it happens: where events come from, lines as they are printed, and who is told."""
