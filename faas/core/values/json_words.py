"""What is wrong with JSON, or with the form of a value, in our words: those of a decoder are about the decoder."""

from __future__ import annotations

import re

import msgspec

_FORM = (
    (re.compile(r"Expected `([^`]*)`, got `([^`]*)`"), "expected {0}, found {1}"),
    (re.compile(r"missing required field `([^`]*)`"), "{0} is missing"),
    (re.compile(r"unknown field `([^`]*)`"), "{0} is not known"),
    (re.compile(r"Invalid (?:enum )?value"), "the value is none of those that may stand there"),
    (re.compile(r"Expected `([^`]*)`(.*?)(?: - at|$)"), "expected {0}{1}"),
)


def why(error: Exception) -> str:
    """What is wrong, from the error that a decoder raised; without the value, which may be large or secret."""
    if isinstance(error, UnicodeDecodeError):
        return f"byte {error.start} is not UTF-8"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, msgspec.ValidationError):
        return _of_form(str(error))
    text = str(error)
    if "truncated" in text:
        return "it ends too early"
    place = re.search(r"\(byte (\d+)\)", text)
    return f"byte {place[1]} is none that JSON may have there" if place else "it is not written as JSON is"


def _of_form(text: str) -> str:
    found = ((pattern.search(text), words) for pattern, words in _FORM)
    told = next((words.format(*match.groups()) for match, words in found if match), "it has not the form that it must")
    place = re.search(r" - at `\$\.?([^`]*)`", text)
    return f"{place[1]}: {told}" if place and place[1] else told
