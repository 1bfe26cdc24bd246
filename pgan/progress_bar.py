"""Progress bars."""
import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm


def progress_bar(iterable: Iterable[Any] | None = None, *, silent: bool = False,
                 **kwargs: Any) -> tqdm:
    """A tqdm bar on a terminal's stderr, and nothing anywhere else.

    While it is shown, print with tqdm.write.

    Args:
        iterable: what to go through, or None with `total=`.
        silent: show nothing at all.
        kwargs: of tqdm: total, unit, desc, delay (seconds before it appears)...
    """
    # a program may be started without one
    silent = silent or sys.stderr is None or sys.stderr.closed
    return tqdm(iterable, leave=False, disable=True if silent else None, **kwargs)
