"""Standard output of the programs: unencodable characters and readers that go away."""
import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from typing import TextIO, cast


class _Unread:
    """Stream wrapper that discards output once the reader is gone or the disk is full."""

    def __init__(self, stream):
        self._stream = stream

    def write(self, text):
        with contextlib.suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self):
        with contextlib.suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name):
        return getattr(self._stream, name)


@contextlib.contextmanager
def output_that_may_end(*, needed: bool) -> Iterator[None]:
    """Make standard output accept any text and tolerate being closed early.

    Readers go away with `| head` or a closed terminal.

    Args:
        needed: True = the output is the program's purpose: exit quietly with code 141, as other
            programs do. False = continue without output.
    """
    if sys.stdout is None:
        sys.stdout = open(os.devnull, 'w')
    if hasattr(sys.stdout, 'reconfigure'):
        # File names may contain characters that the terminal's encoding lacks.
        sys.stdout.reconfigure(errors='backslashreplace')
    original = sys.stdout
    unread = contextlib.redirect_stdout(cast(TextIO, _Unread(original)))
    try:
        with contextlib.nullcontext() if needed else unread:
            yield
            sys.stdout.flush()
    except BrokenPipeError:
        sys.exit(128 + signal.SIGPIPE)
    finally:
        try:
            original.flush()
        except OSError:  # Python would flush again at exit and report the error.
            os.dup2(os.open(os.devnull, os.O_WRONLY), original.fileno())
