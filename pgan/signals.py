"""Signals that let a program tidy up before it ends."""
import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from typing import NoReturn

from pgan.progress_bar import printing


class Stopped(SystemExit):
    """A signal asks the program to end.

    As an exception it lets files that are being written be cleaned up.

    Attributes:
        code: 128 + the signal's number.
        go_on: the command that continues; '' where there is none.
    """
    code: int
    go_on = ''

    @property
    def signal_name(self) -> str:
        return signal.Signals(self.code - 128).name


@contextlib.contextmanager
def signals_as_exceptions() -> Iterator[None]:
    """Let SIGTERM (kill, a batch system) and SIGHUP (the terminal is gone) raise `Stopped`, once.

    Signals that the program ignores or handles already (nohup) stay as they are.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # Only the main thread may ask for signals.
        return
    signals = [
        number for number in _numbers('SIGTERM', 'SIGHUP')
        if signal.getsignal(number) is signal.SIG_DFL
    ]

    def stop(number, _frame):
        for each in signals:
            signal.signal(each, signal.SIG_IGN)
        raise Stopped(128 + number)

    for number in signals:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in signals:
            signal.signal(number, signal.SIG_DFL)


class StopRequest:
    """Whether a signal has asked the program to end; `number` is the signal's, or None."""

    def __init__(self) -> None:
        self.number: int | None = None

    def __bool__(self) -> bool:
        return self.number is not None

    def raise_stopped(self, go_on: str = '') -> NoReturn:
        """End the program, with the exit code of the signal, which has come.

        Args:
            go_on: see `Stopped`.
        """
        stopped = Stopped(128 + (self.number or 0))
        stopped.go_on = go_on
        raise stopped


@contextlib.contextmanager
def graceful_stop(note: str) -> Iterator[StopRequest]:
    """In the block, only note the first SIGINT (Ctrl-C), SIGTERM or SIGHUP.

    The second one ends the process at once.

    Python runs its own handlers between two of its instructions, and a training step may take
    minutes inside of one. So a thread listens.

    Args:
        note: text for stderr when the first signal comes.

    Yields:
        a `StopRequest`, for the program to look at where it can end well.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request  # Only the main thread may ask for signals.
        return
    before = {
        number: signal.getsignal(number)
        for number in _numbers('SIGINT', 'SIGTERM', 'SIGHUP')
        if signal.getsignal(number) is not signal.SIG_IGN  # nohup's choice
    }
    reader, writer = socket.socketpair()
    writer.setblocking(False)

    def listen() -> None:
        while data := reader.recv(1):
            if data[0] not in before:
                continue
            if request:
                os._exit(128 + data[0])
            request.number = data[0]
            _say(note)

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    wakeup = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    for number in before:
        # what counts is the byte that the system's side of it sends
        signal.signal(number, lambda *_: None)
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(wakeup)
        writer.close()
        listener.join()
        reader.close()


def _numbers(*names):
    """Numbers of those of the signals that the system has; Windows has no SIGHUP."""
    return [getattr(signal, name) for name in names if hasattr(signal, name)]


def _say(text):
    with contextlib.suppress(OSError, ValueError), printing():
        print(text, file=sys.stderr, flush=True)
