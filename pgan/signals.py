"""Signal handling that lets a program clean up before it exits."""
import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from typing import NoReturn

from pgan.progress_bar import printing

GRACE = 2.0  # seconds from an early signal to a forced exit if Python cannot run its handler


class Stopped(SystemExit):
    """Raised when a signal asks the program to exit.

    Being an exception, it lets partially written files be cleaned up.

    Attributes:
        code: 128 + the signal's number.
        go_on: command that continues the run, or ''.
        left: sentence about what has been saved.
    """
    code: int
    go_on = ''
    left = 'What was finished before is in the result folder.'

    @property
    def signal_name(self) -> str:
        return signal.Signals(self.code - 128).name


@contextlib.contextmanager
def signals_as_exceptions() -> Iterator[None]:
    """Make SIGTERM (kill, a batch system) and SIGHUP (terminal closed) raise `Stopped`, once.

    Signals that are already ignored or handled (nohup) are left alone.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # Only the main thread may set signal handlers.
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
    """Record of a stop signal; true once one has arrived. `number` is the signal's, or None.

    Attributes:
        waits: whether the program has something to save, in which case a signal lets it continue
            until it has saved.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self.waits = True
        self.deciding = threading.Lock()

    def wait_from_here(self) -> None:
        """Declare that there is something to save from now on.

        Raises:
            Stopped: a signal has already arrived.
        """
        with self.deciding:
            self.waits = True
            if self:
                self.raise_nothing_saved()

    def raise_nothing_saved(self) -> NoReturn:
        """Raise `Stopped` for a signal that arrived before there was anything to save."""
        stopped = Stopped(128 + (self.number or 0))
        stopped.left = 'Nothing has been saved.'
        raise stopped

    def __bool__(self) -> bool:
        return self.number is not None

    def raise_stopped(self, go_on: str = '') -> NoReturn:
        """Raise `Stopped` for the signal that has arrived.

        Args:
            go_on: see `Stopped`.
        """
        stopped = Stopped(128 + (self.number or 0))
        stopped.go_on = go_on
        raise stopped


@contextlib.contextmanager
def graceful_stop(note: str, early_note: str = '') -> Iterator[StopRequest]:
    """Only record the first SIGINT (Ctrl-C), SIGTERM or SIGHUP during the block.

    The second signal ends the process at once.

    Python runs signal handlers only between two bytecode instructions, and a single one may spend
    minutes in a training step. Therefore a thread listens for signals.

    Args:
        note: text printed on stderr when the first signal arrives.
        early_note: text printed instead while the program has nothing to save, i.e. until it calls
            `wait_from_here` of the request. Until then a signal raises `Stopped`. If Python cannot
            raise it, because it is inside a step, the process exits after `GRACE` seconds.

    Yields:
        A `StopRequest`, which the program checks where it can stop safely.
    """
    request = StopRequest()
    request.waits = not early_note
    if threading.current_thread() is not threading.main_thread():
        yield request  # Only the main thread may set signal handlers.
        return
    before = {
        number: signal.getsignal(number)
        for number in _numbers('SIGINT', 'SIGTERM', 'SIGHUP')
        if signal.getsignal(number) is not signal.SIG_IGN  # ignored under nohup
    }
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    has_come: list[int] = []
    timers: list[threading.Timer] = []

    def handle(number: int, _frame: object) -> None:
        # Once there is something to save, the byte that the C-level handler writes to the wakeup
        # socket is what counts: `listen` reads it.
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
    """Numbers of the signals that exist on this system; Windows has no SIGHUP."""
    return [getattr(signal, name) for name in names if hasattr(signal, name)]


def _say(text):
    with contextlib.suppress(OSError, ValueError), printing():
        print(text, file=sys.stderr, flush=True)
