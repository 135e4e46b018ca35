"""Calls: how a request becomes an invocation, the hand-off to a slot, traces and chains, what follows an attempt."""
