"""Names of queues and of the functions on them: one place for code, tests and infrastructure."""


def queue_name(app: str, *, first: bool) -> str:
    """The ordinary queue of an application, or the one that overtakes it."""
    return f"provision-{app}-first" if first else f"provision-{app}"


def function_name(verb: str, app: str, *, first: bool) -> str:
    """The function on that queue: letters, digits, hyphen and underscore only, as the host demands."""
    return f"{verb}-{app}-first" if first else f"{verb}-{app}"
