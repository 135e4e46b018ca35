"""A second language, to prove that one needs nothing outside a folder of its own."""
