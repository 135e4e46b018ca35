"""Handlers whose records go to destinations."""


def works(event, context):
    return {"answer": 42}


def fails(event, context):
    raise ValueError("it broke")


def writes(event, context):
    context.bucket("out").write_text("made", "x")
    return "written"
