"""Why a line is not a result, in a sentence for people and not in the words of Python's errors."""

from __future__ import annotations

import json


class Invalid(ValueError):
    """A result has a value that it must not have; the message says which."""


ERRORS = (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError)
"""What reading a line raises if it is not a result."""


def reason_of(error: Exception) -> str:
    """Return what is wrong with a line, given the error that reading it raised."""
    if isinstance(error, Invalid):
        return str(error)
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    if isinstance(error, json.JSONDecodeError):
        return "it is not JSON"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, KeyError):
        return f"it has no {error}"
    return "one of its values is invalid"
