"""An unwritable log does not stop the program."""
import errno
import os
import pathlib

import pytest

import misc
from tests.support.faults import (
    ERRORS,
    Disk,
    file_size_limit,
)


@pytest.mark.parametrize('cause', ERRORS.values(), ids=ERRORS)
@pytest.mark.parametrize(('operation', 'number'), [('open', 0), ('write', 0), ('write', 2),
                                                   ('close', 0)])
def test_a_log_that_cannot_be_written_stops_nothing(operation, number, cause, room, console,
                                                    monkeypatch):
    out, err = console()
    with Disk(room, operation, number, cause).installed(monkeypatch) as disk:
        misc.init_output_logging()
        misc.create_result_subdir('.', 'run')
        for line in range(5):
            print('line', line)
        misc.restore_output()
    assert disk.failed
    assert out.getvalue().count('line') == 5
    assert err.getvalue().count('warning: cannot write the log') == (operation != 'close')
    assert operation == 'close' or os.strerror(cause) in err.getvalue()
    assert os.path.exists('000-run/log.txt') == (operation != 'open')


def test_a_full_disk_is_said_once(room, console):
    out, err = console()
    with file_size_limit(20):
        misc.init_output_logging()
        misc.set_output_log_file('log.txt')
        for line in range(50):
            print('line', line)
        misc.restore_output()
    assert out.getvalue().count('line') == 50
    assert err.getvalue().count('warning: cannot write the log') == err.getvalue().count(
        'File too large') == 1
    assert out.getvalue().startswith(pathlib.Path('log.txt').read_text())


def test_a_log_is_complete_again_when_there_is_room(room, console, monkeypatch):
    """Data that could not be written stays in the file's buffer."""
    out, _ = console()
    with Disk(room, 'write', 1, errno.ENOSPC).installed(monkeypatch):
        misc.init_output_logging()
        misc.set_output_log_file('log.txt')
        for line in range(5):
            print('line', line)
        misc.restore_output()
    assert pathlib.Path('log.txt').read_text() == out.getvalue()


def test_another_log_that_cannot_be_opened_leaves_the_first(room, console, monkeypatch):
    console()
    misc.init_output_logging()
    misc.set_output_log_file('log.txt')
    with Disk(room, 'open', 0, errno.ENOSPC).installed(monkeypatch):
        misc.set_output_log_file('metric.txt', mode='a')
    print('after')
    assert 'after' in pathlib.Path('log.txt').read_text()
    assert not os.path.exists('metric.txt')
