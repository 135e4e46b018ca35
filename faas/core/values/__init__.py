"""Values that somebody else wrote: JSON, numbers and text files, and what is told of those that cannot be read."""
