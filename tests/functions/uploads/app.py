from urllib.parse import unquote_plus


def _key(event):
    return unquote_plus(event["Records"][0]["s3"]["object"]["key"])


def copies(event, context):
    """Photos to thumbs, in capitals."""
    key = _key(event)
    context.bucket("thumbs").write_text(key, context.bucket("photos").read_text(key).upper())


def feeds_itself(event, context):
    """Writes the object that triggers it next."""
    context.bucket("loop").write_text(f"{_key(event)}.", str(context.depth))
