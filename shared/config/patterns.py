"""Regular expressions that customers write: the library is loaded with the first one."""

from __future__ import annotations


def pattern_problem(pattern: str) -> str | None:
    """What was expected of a pattern that cannot be used; None when it can."""
    import regex

    try:
        regex.compile(pattern)
    except regex.error as error:
        return f"a regular expression; {error}"
    except RecursionError:
        return "a regular expression; groups are nested too deeply"
    return None
