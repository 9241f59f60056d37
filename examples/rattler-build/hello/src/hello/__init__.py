"""Says hello."""


def greeting(name: str) -> str:
    """Return a greeting."""
    return f"hello, {name}"
