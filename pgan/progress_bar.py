"""Progress bars."""
import sys

from tqdm import tqdm


def progress_bar(iterable=None, silent=False, **kwargs):
    """A tqdm bar on a terminal's stderr, and nothing anywhere else. Print through tqdm.write beside
    it.

    Args:
        iterable: what to go through, or None with `total=`.
        silent: show nothing at all.
        kwargs: of tqdm: total, unit, desc, delay (seconds before it appears)...
    """
    # a program may be started without one
    silent = silent or sys.stderr is None or sys.stderr.closed
    return tqdm(iterable, leave=False, disable=True if silent else None, **kwargs)
