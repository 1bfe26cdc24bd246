"""misc.logs: formatted durations, and logging of stdout and stderr."""
import io
import os
import subprocess
import sys

import pytest
from tqdm import tqdm

import misc
from misc import logs
from tests.support.golden import ROOT, load_json

JSON = load_json('misc.json')


@pytest.mark.parametrize(('seconds', 'text'), JSON['format_time'])
def test_format_time(seconds, text):
    assert misc.format_time(seconds) == text


@pytest.mark.parametrize(('text', 'expected'), JSON['format_time_raises'])
def test_format_time_of_odd_values(text, expected):
    if 'value' in expected:
        assert misc.format_time(float(text)) == expected['value']
    else:
        with pytest.raises({'ValueError': ValueError,
                            'OverflowError': OverflowError}[expected['raises']],
                           match=expected['args'][0]):
            misc.format_time(float(text))


def log_text(name='log.txt'):
    with open(name, encoding='utf-8') as file:
        return file.read()


def test_both_streams_are_logged_from_the_start(console):
    out, err = console()
    misc.init_output_logging()
    misc.init_output_logging()
    print('before')
    print('problem', file=sys.stderr)
    misc.set_output_log_file('log.txt')
    print('after', 'all', sep='\n')
    assert log_text() == 'before\nproblem\nafter\nall\n'
    assert (out.getvalue(), err.getvalue()) == ('before\nafter\nall\n', 'problem\n')


def test_lines_are_on_disk_at_once_and_partial_ones_at_the_end(console):
    console()
    misc.init_output_logging()
    misc.set_output_log_file('log.txt')
    print('one', end=' ')
    assert log_text() == ''
    print('line')
    assert log_text() == 'one line\n'
    print('no end', end='')
    misc.restore_output()
    assert log_text() == 'one line\nno end\n'


def test_restore_gives_the_streams_back(console):
    out, err = console()
    misc.init_output_logging()
    assert logs.output_logging_active()
    misc.restore_output()
    assert sys.stdout is out
    assert sys.stderr is err
    assert not logs.output_logging_active()
    misc.init_output_logging()
    misc.set_output_log_file('log.txt')
    assert log_text() == ''


def test_progress_bars_stay_on_the_terminal(console):
    _, err = console()
    misc.init_output_logging()
    misc.set_output_log_file('log.txt')
    for index in tqdm(range(3), mininterval=0, file=sys.stderr):
        if index == 1:
            print('in between')
    print('first\rsecond\rlast')
    sys.stdout.write('Generating 1\r')
    sys.stdout.write('Generating 2\n')
    sys.stderr.write('\r 50%')
    sys.stderr.write('Traceback\n')
    assert log_text() == 'in between\nlast\nGenerating 2\nTraceback\n'
    assert '3/3' in err.getvalue()


def test_another_file_and_appending(console):
    console()
    misc.init_output_logging()
    misc.set_output_log_file('log.txt')
    print('a')
    misc.set_output_log_file('metric.txt')
    print('b')
    misc.set_output_log_file('log.txt', mode='a')
    print('c')
    assert log_text() == 'a\nc\n'
    assert log_text('metric.txt') == 'b\n'
    with pytest.raises(ValueError, match="Received: 'r'"):
        misc.set_output_log_file('log.txt', mode='r')


def test_the_streams_other_attributes_are_the_terminals(console, monkeypatch):
    out, _ = console()
    out.isatty = lambda: True
    misc.init_output_logging()
    assert sys.stdout.isatty()
    assert sys.stdout.encoding == out.encoding
    assert sys.stdout.write('four') == 4
    sys.stdout.writelines(['a', 'b'])
    with pytest.raises(io.UnsupportedOperation):
        sys.stdout.fileno()


class Gone(io.StringIO):
    """Stand-in for a terminal whose connection is lost after its first line."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def flush(self):
        if self.getvalue().count('\n') > 1:
            raise self.error


@pytest.mark.parametrize(
    'error', [BrokenPipeError(),
              OSError(5, 'Input/output error'),
              ValueError('closed file')], ids=repr)
def test_a_lost_terminal_does_not_end_the_program(error, console, monkeypatch):
    console()
    out = Gone(error)
    monkeypatch.setattr(sys, 'stdout', out)
    misc.init_output_logging()
    misc.set_output_log_file('log.txt')
    for number in range(4):
        print(number, flush=True)
    assert log_text() == '0\n1\n2\n3\n'
    assert out.getvalue() == '0\n1\n'


def test_a_pipe_that_is_closed(in_tmp):
    """As in `train.py | head -n 1`."""
    code = ("import sys, misc; misc.init_output_logging(); misc.set_output_log_file('log.txt')\n"
            "print('first'); sys.stdin.readline(); print('second'); print('third')\n")
    with subprocess.Popen([sys.executable, '-c', code], env={**os.environ, 'PYTHONPATH': str(ROOT)},
                          text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as process:
        assert process.stdout.readline() == 'first\n'
        process.stdout.close()
        process.stdin.write('go\n')
        process.stdin.close()
        assert process.stderr.read() == ''
    assert process.returncode == 0
    assert log_text() == 'first\nsecond\nthird\n'


def test_characters_that_the_terminal_lacks(console, monkeypatch):
    console()
    raw = io.BytesIO()
    monkeypatch.setattr(sys, 'stdout', io.TextIOWrapper(raw, encoding='ascii', newline=''))
    misc.init_output_logging()
    misc.set_output_log_file('log.txt')
    print('a → b')
    assert raw.getvalue() == b'a \\u2192 b\n'
    assert log_text() == 'a → b\n'
