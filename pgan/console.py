"""Standard output of the programs that users start: any text, and nobody reads it any more."""
import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from typing import TextIO, cast


class _Unread:
    """A stream that drops what is written once its reader has gone away or its disk is full."""

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
    """Let standard output show any text, and be closed early (`| head`, a closed terminal).

    Args:
        needed: True = the output is what the program is for: it exits quietly with 141, as other
            programs do. False = it continues in silence.
    """
    if sys.stdout is None:
        sys.stdout = open(os.devnull, 'w')
    if hasattr(sys.stdout, 'reconfigure'):
        # names of files may hold what the terminal's encoding cannot show
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
        except OSError:  # Python would try once more at exit, and complain.
            os.dup2(os.open(os.devnull, os.O_WRONLY), original.fileno())
