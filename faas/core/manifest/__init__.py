"""The manifest, `faas.yaml`: what may stand in it, what is wrong with one, and the project that it declares."""
