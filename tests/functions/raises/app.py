"""Errors of every kind."""

import functools


class MyError(Exception):
    pass


class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError("no text")


class Leaving(Exception):
    def __str__(self):
        raise SystemExit(3)


class Stopping(Exception):
    def __str__(self):
        raise KeyboardInterrupt


class NamelessType(type):
    @property
    def __name__(cls):
        raise RuntimeError("no name")


class Nameless(Exception, metaclass=NamelessType):
    pass


def handler(event, context):
    return KINDS[event](context)


def plain(context):
    raise MyError("my message")


def empty(context):
    raise MyError


def chained(context):
    try:
        raise KeyError("the cause")
    except KeyError as error:
        raise MyError("the effect") from error


def deep(context):
    return deep(context)


def huge(context):
    raise MyError("\x01" * 500_000)


def huge_and_deep(context, depth=60):
    if depth == 0:
        huge(context)
    return there_and_back(context, depth)


def there_and_back(context, depth):
    return huge_and_deep(context, depth - 1)


there_and_back.__code__ = there_and_back.__code__.replace(co_name="a_long_name" * 80)


def unprintable(context):
    raise Unprintable


def leaving_text(context):
    raise Leaving


def stopping_text(context):
    raise Stopping


def nameless(context):
    raise Nameless("without a name")


def surrogate(context):
    raise MyError("\ud800")


def named_at_length(context):
    raise type("X" * 100_000, (Exception,), {})


def interrupt(context):
    raise KeyboardInterrupt


def through_bucket(context):
    context.bucket("photos").open("../escape")


def undeclared(context):
    context.bucket("other")


def memory(context):
    return len(bytearray(1 << 60))


def wrapped(context):
    @functools.lru_cache
    def inner():
        raise MyError("inside a decorator")

    return inner()


def grouped(context):
    raise ExceptionGroup("several", [ValueError("one"), TypeError("two")])  # noqa: F821


def wrong_arguments(context):
    return plain(context, 1)


def takes_one(event):
    return event


KINDS = {name: value for name, value in list(globals().items()) if callable(value)}
