"""pgan.progress_bar: no output without a terminal, and the time left at any width."""
import ast
import io
import re
import sys
import types

import pytest

from docs.rooms import ROOT, sources
from pgan import signals
from pgan.progress_bar import printing, progress_bar
from pgan.reporting.progress import Progress
from pgan.reporting.timetable import Timetable
from pgan.training.phases import Phase


class Terminal(io.StringIO):
    """Terminals as stderr and stdout."""

    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    """Function: columns -> terminal of that width."""
    def make(columns):
        monkeypatch.setenv('COLUMNS', str(columns))
        stream = Terminal()
        for name in ('stdout', 'stderr'):
            monkeypatch.setattr(sys, name, stream)
        return stream
    return make


def drawn(stream):
    """Everything drawn since the last call, one line each, without the spaces that clear a line."""
    return [line for line in re.split(r'[\r\n]', stream.getvalue()) if line.strip()]


DESCRIPTIONS = ['', 'Checking', 'Trying a step at 1024x1024',
                'a folder of a very long name, which says nothing about how long it will take']


@pytest.mark.parametrize('columns', [120, 80, 60, 40, 30])
@pytest.mark.parametrize('desc', DESCRIPTIONS)
def test_every_bar_shows_the_time_left(columns, desc, terminal):
    stream = terminal(columns)
    with progress_bar(total=200000, desc=desc, unit='resolution', mininterval=0) as bar:
        bar.start_t -= 100  # seconds ago
        bar.update(50000)
        bar.set_description(desc)
    lines = [line for line in drawn(stream) if ' 25%' in line]
    assert lines and all(len(line) <= columns for line in lines)
    assert all(re.search(r'\[(01:40<)?0\d:\d\d( left\]|,.*\])$', line.rstrip()) for line in lines)
    assert columns < 60 or desc == DESCRIPTIONS[-1] or all(desc in line for line in lines)


@pytest.mark.parametrize('options', [dict(unit='B', unit_scale=True), dict(total=10)], ids=str)
def test_bars_without_an_end_or_beyond_it(options, terminal):
    stream = terminal(40)
    with progress_bar(desc=DESCRIPTIONS[-1], mininterval=0, **options) as bar:
        bar.update(5000)
    assert '5' in drawn(stream)[-1] and all(len(line) <= 40 for line in drawn(stream))


@pytest.mark.parametrize('columns', range(20, 81, 6))
def test_a_line_keeps_its_form_while_its_numbers_change(columns, terminal):
    """Parts of the line do not appear and disappear when a number gains or loses a digit."""
    stream = terminal(columns)
    with progress_bar(total=100, desc='x', mininterval=0) as bar:
        bar.forms = ['{desc}: {n_fmt} {postfix} of all', '{desc}: {n_fmt}', '{n_fmt}']
        for step in range(20):
            bar.set_postfix_str('9' * (columns - 16 + step % 3), refresh=False)
            bar.update()
    is_full = ['of all' in line for line in drawn(stream)[1:]]  # the first has no forms yet
    assert is_full == sorted(is_full, reverse=True) and 9 < sum(is_full) < len(is_full)


def test_nothing_is_drawn_where_no_terminal_is(monkeypatch):
    for stream in (io.StringIO(), None):
        monkeypatch.setattr(sys, 'stderr', stream)
        assert list(progress_bar(range(3), desc='x', mininterval=0)) == [0, 1, 2]
        assert stream is None or stream.getvalue() == ''


def test_there_is_one_mechanism():
    """No other module uses tqdm directly, which would draw into files."""
    for path in sources():
        if path != ROOT / 'pgan' / 'progress_bar.py':
            calls = [node.func for node in ast.walk(ast.parse(path.read_text()))
                     if isinstance(node, ast.Call)]
            names = [getattr(call, 'attr', getattr(call, 'id', None)) for call in calls]
            assert not {'tqdm', 'trange'} & set(names), path


def test_a_note_in_between_has_a_line_of_its_own(terminal):
    stream = terminal(80)
    with progress_bar(total=4, mininterval=0) as bar:
        bar.update()
        signals._say('Stopping after this step.')
        with printing():
            print('a line')
    assert {'Stopping after this step.', 'a line'} <= set(drawn(stream))


# ---------------------------------------------------------------- training's live line


def train_a_little(clock_step=1.0, ticks=2, resolution=1024):
    """Rounds and ticks of a long run, whose numbers are as wide as possible."""
    sched = types.SimpleNamespace(lod=0.34, resolution=resolution, minibatch=4, tick_kimg=0.5)
    run_phases = [Phase(0, 12000, sched, sched), Phase(12000, 15000, sched, sched)]
    now = iter(range(10**9))
    progress = Progress(15000.0, cur_nimg=11_000_000, clock=lambda: next(now) * clock_step,
                        timetable=Timetable(run_phases, float))
    if not progress.bar.disable:
        progress.bar.start_t -= 1  # its delay is over
    nimg = 11_000_000
    for _ in range(ticks):
        for _ in range(4):
            nimg += 125
            progress.bar.last_print_t = 0  # long ago
            progress.update_bar(nimg, sched)
        progress.tick(nimg, sched)
        print('Metrics: fid 12.3')
        progress.end_maintenance()
    progress.close()


@pytest.mark.parametrize('columns', [120, 80, 60, 40, 20])
@pytest.mark.parametrize('clock_step', [0.01, 1.0, 31.0])
def test_the_live_line_shows_the_time_left(columns, clock_step, terminal):
    stream = terminal(columns)
    train_a_little(clock_step)
    lines = [line.rstrip() for line in drawn(stream) if '%' in line]
    assert len(lines) > 4 and all(len(line) <= columns for line in lines)
    assert all(re.search(r'(left|run) \d+[smhd]( \d+[smh])?$', line) for line in lines[2:]), lines
    assert columns < 60 or all('lod 0.34 (1024x1024)' in line for line in lines)
    assert columns < 120 or all('sec/kimg' in line for line in lines[2:])


def test_lines_printed_on_the_terminal_stand_alone(terminal):
    stream = terminal(80)
    train_a_little()
    lines = drawn(stream)
    assert sum(line.startswith('tick ') for line in lines) == 2
    assert lines.count('Metrics: fid 12.3') == 2


def test_a_file_gets_tick_lines_and_nothing_else(monkeypatch):
    """`> log 2>&1`"""
    stream = io.StringIO()
    for name in ('stdout', 'stderr'):
        monkeypatch.setattr(sys, name, stream)
    train_a_little()
    assert len(re.findall(r'(?m)^tick ', stream.getvalue())) == 2
    assert '\r' not in stream.getvalue() and '%' not in stream.getvalue()
