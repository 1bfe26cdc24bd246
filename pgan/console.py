"""Standard output of the programs that users start: any text, and nobody reads it any more."""
import contextlib
import os
import signal
import sys


class _Unread:
    """A stream whose reader may go away, or whose disk may be full: from then on what is written to
    it is dropped.
    """

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
def output_that_may_end(needed):
    """Let standard output show any text, and its end (`| head`, a closed terminal) end the program
    quietly, or not at all.

    Args:
        needed: True = the output is what the program is for: it exits with 141, as other programs
    do. False = it goes on in silence. """
    if sys.stdout is None:
        sys.stdout = open(os.devnull, 'w')
    if hasattr(sys.stdout, 'reconfigure'):
        # names of files may hold what the terminal's encoding cannot show
        sys.stdout.reconfigure(errors='backslashreplace')
    original = sys.stdout
    try:
        with contextlib.nullcontext() if needed else contextlib.redirect_stdout(_Unread(original)):
            yield
            sys.stdout.flush()
    except BrokenPipeError:
        sys.exit(128 + signal.SIGPIPE)
    finally:
        try:
            original.flush()
        except OSError:  # Python would try once more at exit, and complain.
            os.dup2(os.open(os.devnull, os.O_WRONLY), original.fileno())
