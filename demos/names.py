"""Names that may be misspelled: which one was meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def hint(name: str, known: Iterable[str], otherwise: str | None = None, cutoff: float = 0.5) -> str:
    """Which of the `known` names was meant, whatever its case; where none is near, `otherwise`, or what is known.

    `cutoff` in [0, 1] is how alike they have to be.
    """
    by_lower = {k.lower(): k for k in known}
    close = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=cutoff)
    if close:
        return f"did you mean {by_lower[close[0]]!r}?"
    return f"known are {', '.join(by_lower.values())}" if otherwise is None else otherwise


def known(what: str, name: str, options: Iterable[str], any_case: bool = False) -> str:
    """The option of that name, with `any_case` whatever its case.

    Raises:
        ValueError: there is none; the nearest is named.
    """
    options = list(options)
    for option in options:
        if name == option or (any_case and name.lower() == option.lower()):
            return option
    raise ValueError(f"unknown {what} {name!r}: {hint(name, options)}")
