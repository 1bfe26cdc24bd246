"""What the programs that users start have in common: signals that tidy up, and output that nobody
reads any more.
"""
import contextlib
import os
import signal
import socket
import sys
import threading


class Stopped(SystemExit):
    """A signal asks the program to end. As an exception it lets files that are being written be
    cleaned up; code is 128 + its number.
    """

    @property
    def signal_name(self):
        return signal.Signals(self.code - 128).name


@contextlib.contextmanager
def signals_as_exceptions():
    """Let SIGTERM (kill, a batch system) and SIGHUP (the terminal is gone) raise `Stopped`, once;
    nohup's choice stays.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # Only the main thread may ask for signals.
        return
    # Windows has no SIGHUP.
    names = [name for name in ('SIGTERM', 'SIGHUP') if hasattr(signal, name)]
    signals = [
        number for number in (getattr(signal, name) for name in names)
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

    def __init__(self):
        self.number = None

    def __bool__(self):
        return self.number is not None

    def raise_stopped(self):
        """End the program, with the exit code of the signal."""
        raise Stopped(128 + self.number)


@contextlib.contextmanager
def graceful_stop(note):
    """In the block, let the first SIGINT (Ctrl-C), SIGTERM or SIGHUP only be noted, and the second
    one end the process at once.

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
    numbers = [
        getattr(signal, name) for name in ('SIGINT', 'SIGTERM', 'SIGHUP') if hasattr(signal, name)
    ]
    # nohup's choice
    before = {
        number: signal.getsignal(number)
        for number in numbers if signal.getsignal(number) is not signal.SIG_IGN
    }
    reader, writer = socket.socketpair()
    writer.setblocking(False)

    def listen():
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


def _say(text):
    with contextlib.suppress(OSError, ValueError):
        print(text, file=sys.stderr, flush=True)
