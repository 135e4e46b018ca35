"""Keys of objects: which texts are keys, and patterns of them. Pure functions."""
