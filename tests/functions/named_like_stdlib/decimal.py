"""The agent has imported the standard library's module of this name before this one is asked for."""


def handler(event, context):
    return "my own decimal"
