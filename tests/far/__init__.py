"""Sandboxes that are reached through one TCP connection and nothing else, as pods on another machine would be."""
