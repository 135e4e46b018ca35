def handler(event, context):
    return "a source with a byte-order mark: ü"
