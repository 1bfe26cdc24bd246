"""Output logging: everything that is printed also goes to a log file.

`init_output_logging` starts to collect stdout and stderr before the result folder exists.
`set_output_log_file` names the file; it receives the collected lines, then everything that
follows. Progress bars (text that begins with a carriage return) and text that a carriage return
has overwritten appear on the terminal only.
"""
import contextlib
import os
import sys
import threading
from typing import TextIO, cast

import numpy as np


class _Log:
    """Log of complete lines: buffered until a file is named, then written and flushed one by one.
    """

    def __init__(self):
        self.lock = threading.RLock()
        self.kept = []
        self.file = None
        self.warned = False

    def add(self, line, warn_on):
        """Log one line. A failure is not raised; it is reported once, on stream `warn_on`."""
        with self.lock:
            if self.file is None:
                self.kept.append(line)
                return
            try:
                self.file.write(line)
                self.file.flush()
            except (OSError, ValueError) as error:
                self._warn(error, warn_on)

    def open(self, filename, mode):
        """Switch to another file and write the buffered lines to it first.

        If the file cannot be opened, nothing changes.
        """
        with self.lock:
            try:
                file = open(filename, mode, encoding='utf-8', errors='backslashreplace')
            except OSError as error:
                self._warn(error, sys.__stderr__)
                return
            self.close()
            self.file = file
            kept, self.kept = self.kept, []
            for line in kept:
                self.add(line, sys.__stderr__)

    def close(self):
        with self.lock:
            if self.file is not None:
                with contextlib.suppress(OSError):
                    self.file.close()
            self.file = None

    def _warn(self, error, stream):
        if not self.warned and stream is not None:
            self.warned = True
            with contextlib.suppress(OSError, ValueError):
                stream.write(f'warning: cannot write the log ({error}); the program continues '
                             'without it.\n')


class _Tee:
    """Wrapper around a stream that also feeds the log.

    Other attributes (isatty, fileno, encoding, ...) are those of the wrapped stream.
    """

    def __init__(self, stream, log, warn_on):
        self._stream = stream
        self._log = log
        self._warn_on = warn_on
        self._partial = ''
        self._in_progress_bar = False
        self._stream_is_gone = False

    def __getattr__(self, name):
        return getattr(self._stream, name)

    def write(self, text):
        self._attempt(self._show, text)
        with self._log.lock:
            self._collect(text)
        return len(text)

    def flush(self):
        self._attempt(self._stream.flush)

    def _show(self, text):
        """Write to the wrapped stream; escape characters that its encoding lacks."""
        try:
            self._stream.write(text)
        except UnicodeEncodeError as error:
            self._stream.write(
                text.encode(error.encoding, 'backslashreplace').decode(error.encoding))
        if '\n' in text:
            self._stream.flush()

    def _attempt(self, action, *args):
        """Call an action on the wrapped stream, unless the stream has failed before.

        If it fails (`| head` has exited, a lost connection), the program continues without it.
        """
        if self._stream_is_gone:
            return
        try:
            action(*args)
        except (OSError, ValueError):
            self._stream_is_gone = True

    def writelines(self, lines):
        for line in lines:
            self.write(line)

    def _collect(self, text):
        """Pass complete lines to the log; drop progress bars."""
        was_in_progress_bar, self._in_progress_bar = self._in_progress_bar, False
        if text.startswith('\r') and '\n' not in text:
            self._in_progress_bar = True
            return
        if was_in_progress_bar and text in ('', '\n'):
            self._in_progress_bar = not text
            return
        *lines, self._partial = (self._partial + text).split('\n')
        for line in lines:
            self._log.add(line.rstrip('\r').rpartition('\r')[2] + '\n', self._warn_on)

    def _finish(self):
        """Log a last line that lacks its line break."""
        if self._partial:
            self._collect('\n')


_log = _Log()
_tees: list[_Tee] = []


def init_output_logging() -> None:
    """Start to collect stdout and stderr. Further calls have no effect."""
    global _log
    if not _tees:
        _log = _Log()
        warn_on = sys.stderr
        _tees.extend(_Tee(stream, _log, warn_on) for stream in (sys.stdout, sys.stderr))
        sys.stdout, sys.stderr = cast(list[TextIO], _tees)


def output_logging_active() -> bool:
    """Whether stdout and stderr are being collected."""
    return bool(_tees)


def set_output_log_file(filename: str | os.PathLike, mode: str = 'w') -> None:
    """Write the log to a file: the lines collected so far, then everything that is printed.

    Args:
        filename: the log file, in an existing folder. If it cannot be opened (e.g. a full disk),
            one warning is printed and the program continues.
        mode: 'w' to replace an existing file, 'a' to append to it.
    """
    if mode not in ('w', 'wt', 'a', 'at'):
        raise ValueError(f"Expected mode 'w' or 'a'. Received: {mode!r}.")
    _log.open(filename, mode)


def restore_output() -> None:
    """Stop logging: close the file and restore stdout and stderr."""
    for tee in _tees:
        tee._finish()
        if cast(object, sys.stdout) is tee:
            sys.stdout = tee._stream
        if cast(object, sys.stderr) is tee:
            sys.stderr = tee._stream
    _tees.clear()
    _log.close()


def format_time(seconds: float) -> str:
    """Format a duration as '5s', '1m 05s', '2h 02m 05s' or '11d 13h 46m'.

    Seconds are rounded half to even.
    """
    s = int(np.rint(seconds))
    if s < 60:
        return f'{s}s'
    if s < 60 * 60:
        return f'{s // 60}m {s % 60:02}s'
    if s < 24 * 60 * 60:
        return f'{s // (60 * 60)}h {s // 60 % 60:02}m {s % 60:02}s'
    return f'{s // (24 * 60 * 60)}d {s // (60 * 60) % 24:02}h {s // 60 % 60:02}m'
