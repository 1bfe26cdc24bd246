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

GRACE = 2.0  # seconds between an early signal and the end, where Python gets no turn


class Stopped(SystemExit):
    """A signal asks the program to end.

    As an exception it lets files that are being written be cleaned up.

    Attributes:
        code: 128 + the signal's number.
        go_on: the command that continues; '' where there is none.
        left: what the program has left behind, a sentence.
    """
    code: int
    go_on = ''
    left = 'What was finished before is in the result folder.'

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
    """Whether a signal has asked the program to end; `number` is the signal's, or None.

    Attributes:
        waits: whether the program has something to save, so that a signal lets it go on until it
            has done so.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self.waits = True
        self.deciding = threading.Lock()

    def wait_from_here(self) -> None:
        """From now on there is something to save.

        Raises:
            Stopped: a signal has come before.
        """
        with self.deciding:
            self.waits = True
            if self:
                self.raise_nothing_saved()

    def raise_nothing_saved(self) -> NoReturn:
        """End the program before there is anything to save, after the signal has come."""
        stopped = Stopped(128 + (self.number or 0))
        stopped.left = 'Nothing has been saved.'
        raise stopped

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
def graceful_stop(note: str, early_note: str = '') -> Iterator[StopRequest]:
    """In the block, only note the first SIGINT (Ctrl-C), SIGTERM or SIGHUP.

    The second one ends the process at once.

    Python runs its own handlers between two of its instructions, and a training step may take
    minutes inside of one. So a thread listens.

    Args:
        note: text for stderr when the first signal comes.
        early_note: another, for a program that has nothing to save until it calls the request's
            `wait_from_here`. Until then a signal raises `Stopped`; where Python cannot, inside of
            a step, the process ends after `GRACE` seconds.

    Yields:
        a `StopRequest`, for the program to look at where it can end well.
    """
    request = StopRequest()
    request.waits = not early_note
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
    has_come: list[int] = []
    timers: list[threading.Timer] = []

    def handle(number: int, _frame: object) -> None:
        # what counts is the byte that the system's side of it sends, once there is something to
        # save
        if not request.waits:
            request.number = number
            request.raise_nothing_saved()

    def listen() -> None:
        while data := reader.recv(1):
            if data[0] not in before:
                continue
            if has_come:
                os._exit(128 + data[0])
            has_come.append(data[0])
            with request.deciding:
                request.number = data[0]
                is_early = not request.waits
            _say(early_note if is_early else note)
            if is_early:
                timers.append(threading.Timer(GRACE, os._exit, [128 + data[0]]))
                timers[0].daemon = True
                timers[0].start()

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    wakeup = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    for number in before:
        signal.signal(number, handle)
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(wakeup)
        writer.close()
        listener.join()
        for timer in timers:
            timer.cancel()
        reader.close()


def _numbers(*names):
    """Numbers of those of the signals that the system has; Windows has no SIGHUP."""
    return [getattr(signal, name) for name in names if hasattr(signal, name)]


def _say(text):
    with contextlib.suppress(OSError, ValueError), printing():
        print(text, file=sys.stderr, flush=True)
