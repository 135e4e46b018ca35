"""Several handlers in one module."""


def handler(event, context):
    return "app.handler"


def other(event, context):
    return "app.other"


not_callable = 5
