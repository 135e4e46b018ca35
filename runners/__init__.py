"""What runs invocations: a node, its lanes and slots, the sandboxes, and the journal of what was handed to it."""
