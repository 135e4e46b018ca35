print("printed while importing")


def prepare():
    raise ConnectionRefusedError("the database is not there")


prepare()


def handler(event, context):
    return "never"
