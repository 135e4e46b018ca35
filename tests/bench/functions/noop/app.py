"""An empty job."""


def handler(event, context):
    return None
