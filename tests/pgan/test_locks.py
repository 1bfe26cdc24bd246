"""locks: between processes, and on systems without locks."""
import os
import subprocess
import sys
import threading

import pytest

from pgan import locks
from tests.support.golden import ROOT

HOLDER = """
import sys
from pgan.locks import locked
with locked(sys.argv[1]):
    print('held', flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def held(tmp_path):
    """Process that holds the lock on the folder."""
    with subprocess.Popen([sys.executable, '-c', HOLDER, tmp_path], cwd=ROOT, text=True,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == 'held\n'
        yield holder
        holder.kill()


def test_another_process_holds_it_until_it_is_killed(held, tmp_path):
    with pytest.raises(BlockingIOError), locks.locked(tmp_path):
        pass
    held.kill()
    held.wait()
    with locks.locked(tmp_path):
        pass


def test_waiting_for_another_process(held, tmp_path):
    was_let_go = threading.Event()

    def let_go():
        was_let_go.set()
        held.stdin.close()
    threading.Timer(0.3, let_go).start()
    with locks.locked(tmp_path, wait=True):
        assert was_let_go.is_set()


def test_it_ends_with_the_block_whatever_happens(tmp_path):
    for _ in range(2):
        with pytest.raises(ValueError), locks.locked(tmp_path):
            raise ValueError


def test_windows_has_none(monkeypatch, tmp_path):
    monkeypatch.setattr(locks, 'fcntl', None)
    with pytest.raises(OSError, match='cannot be locked here'), locks.locked(tmp_path):
        pass
    descriptor = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(OSError, match='cannot be locked here'):
        locks.lock(descriptor)
    os.close(descriptor)
