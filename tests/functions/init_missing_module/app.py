import json

import module_that_nobody_installed


def handler(event, context):
    return "never"
