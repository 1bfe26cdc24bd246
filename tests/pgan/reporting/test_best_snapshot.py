"""reporting/best_snapshot.py: network-best.pkl is the best so far, even after crashes."""
import math
import os
import pathlib
import shlex

import numpy as np
import pytest

import metrics
import misc
from metrics import Judge
from pgan.errors import ConfigError, DataError
from pgan.reporting import best_snapshot
from pgan.reporting.best_snapshot import BestSnapshot, read_best
from pgan.reporting.next_steps import next_steps
from pgan.reporting.report import Report
from tests.support.toy_runs import main

LOWER, HIGHER = Judge('Distance', False, 100), Judge('Score', True, 100)


def snapshot(kimg, content=None):
    path = pathlib.Path(f'network-snapshot-{kimg:06d}.pkl')
    path.unlink(missing_ok=True)  # as in an atomic write
    path.write_text(content or f'networks of {kimg}')
    return str(path)


def content():
    path = pathlib.Path('network-best.pkl')
    return path.read_text() if path.exists() else None


@pytest.mark.parametrize('judge, values, winner', [
    (LOWER, [3, 2, 4], 1), (HIGHER, [3, 2, 4], 2), (LOWER, [-1, -2, -2], 1), (HIGHER, [1, 1, 1], 0),
    (LOWER, [math.nan, 5, math.nan], 1), (HIGHER, [math.nan, 5, 4], 1),
    (HIGHER, [5, math.inf, 4], 0), (LOWER, [5, -math.inf, 6], 0)])
def test_the_better_value_wins(judge, values, winner, in_tmp):
    """In one process, and in a new one per snapshot, as after --resume."""
    for restarts in (False, True):
        for name in ('network-best.pkl', 'network-best.json'):
            pathlib.Path(name).unlink(missing_ok=True)
        best = BestSnapshot('.', judge)
        for kimg, value in enumerate(values):
            best = BestSnapshot('.', judge) if restarts else best
            best.consider(snapshot(kimg), {'Other': 0.0, judge.name: float(value)}, kimg + 0.5)
        assert content() == f'networks of {winner}'
        found = read_best('.')
        assert (found.value, found.kimg) == (values[winner], winner + 0.5)
        assert found.is_judged_by(judge)


@pytest.mark.parametrize('judge, values', [
    (None, {'Distance': 1.0}), (LOWER, {}), (LOWER, {'Distance': math.nan})])
def test_nothing_is_written_without_a_value(judge, values, in_tmp):
    path = snapshot(1)
    assert BestSnapshot('.', judge).consider(path, values, 1.0) is None
    assert os.listdir('.') == [path] and read_best('.') is None


@pytest.mark.parametrize('other', [HIGHER, LOWER._replace(num_images=5)])
def test_values_of_another_metric_give_way(other, in_tmp):
    BestSnapshot('.', LOWER).consider(snapshot(1), {'Distance': 1.0}, 1)
    assert BestSnapshot('.', other).consider(snapshot(2), {other.name: 1.0}, 2)
    assert content() == 'networks of 2' and read_best('.').is_judged_by(other)


class Killed(BaseException):
    pass


@pytest.mark.parametrize('where', ['atomic_write', '_link_or_copy', 'atomic_path'])
@pytest.mark.parametrize('before', [None, 3.0])
def test_killed_between_measuring_and_saving(where, before, in_tmp, monkeypatch):
    """After a crash at any point, pickle and value match; if measured again, the snapshot wins
    again.
    """
    if before is not None:
        BestSnapshot('.', LOWER).consider(snapshot(1), {'Distance': before}, 1)

    def killed(*args, **options):
        raise Killed
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(best_snapshot, where, killed)
        BestSnapshot('.', LOWER).consider(snapshot(2), {'Distance': 2.0}, 2)
    found = read_best('.')
    assert (found and found.value) == before and content() == (before and 'networks of 1')
    assert not BestSnapshot('.', LOWER).consider(snapshot(3), {'Distance': 4.0}, 3) or not before
    assert BestSnapshot('.', LOWER).consider(snapshot(2), {'Distance': 2.0}, 2)
    assert content() == 'networks of 2' and read_best('.').value == 2.0


def test_the_snapshot_may_be_deleted_or_replaced(in_tmp):
    BestSnapshot('.', LOWER).consider(snapshot(1), {'Distance': 1.0}, 1)
    snapshot(1, 'others of the same kimg')
    assert content() == 'networks of 1' and read_best('.').value == 1.0
    os.unlink('network-snapshot-000001.pkl')
    assert content() == 'networks of 1' and not [name for name in os.listdir('.') if 'tmp' in name]


def test_a_disk_without_links(in_tmp, monkeypatch):
    def refused(*_):
        raise PermissionError(1, 'Operation not permitted')
    monkeypatch.setattr(os, 'link', refused)
    BestSnapshot('.', LOWER).consider(snapshot(1), {'Distance': 1.0}, 1)
    assert content() == 'networks of 1' and read_best('.').value == 1.0


@pytest.mark.parametrize('text', ['', '[]', '{}', 'null', '{"before": null}', '{"sha256": 3}'])
def test_damaged_notes_are_no_notes(text, in_tmp):
    BestSnapshot('.', LOWER).consider(snapshot(1), {'Distance': 1.0}, 1)
    pathlib.Path('network-best.json').write_text(text)
    assert read_best('.') is None
    assert BestSnapshot('.', LOWER).consider(snapshot(2), {'Distance': 2.0}, 2)


def test_a_full_disk_keeps_the_old_one(in_tmp, monkeypatch):
    BestSnapshot('.', LOWER).consider(snapshot(1), {'Distance': 1.0}, 1)

    def full(*_):
        raise OSError(28, 'No space left on device')
    monkeypatch.setattr(best_snapshot, '_link_or_copy', full)
    with pytest.raises((DataError, OSError), match='No space left'):
        BestSnapshot('.', LOWER).consider(snapshot(2), {'Distance': 0.5}, 2)
    assert content() == 'networks of 1' and read_best('.').value == 1.0


# ---------------------------------------------------------------- the deciding value

STANDS = {'swd': ('SWDx1e3_avg', False), 'fid': ('FID', False), 'is': ('IS_mean', True),
          'msssim': ('MS-SSIM', False), 'kid': ('KIDx1e3_mean', False), 'pr': ('Precision', True),
          'modes': ('Modes', True)}


def test_every_metric_says_which_is_better():
    assert set(STANDS) == set(metrics.SHORT_NAMES)
    for name, (value, higher) in STANDS.items():
        options = {'inception': lambda images: None, 'classifier': lambda images: None}
        known = metrics.inspect.signature(metrics._find(name)).parameters
        side = 32 if name == 'modes' else 64
        made = metrics.make(name, 4096, [3, side, side], np.uint8, 8,
                            **{key: each for key, each in options.items() if key in known})
        assert metrics.judge_of(made, 4096) == (value, higher, 4096)


class Metric:
    def get_metric_names(self):
        return ['A', 'B']


@pytest.mark.parametrize('attributes, expected', [
    ({}, None), ({'higher_is_better': True}, ('A', True, 7)),
    ({'higher_is_better': False, 'judged_by': 'B'}, ('B', False, 7))])
def test_metrics_of_ones_own(attributes, expected):
    assert metrics.judge_of(type('API', (Metric, ), attributes)(), 7) == expected


@pytest.mark.parametrize('attributes', [{'higher_is_better': 'yes'},
                                        {'higher_is_better': True, 'judged_by': 'C'}])
def test_wrong_attributes_are_named(attributes):
    with pytest.raises(ConfigError, match='judged_by one of A, B'):
        metrics.judge_of(type('API', (Metric, ), attributes)(), 7)


# ---------------------------------------------------------------- loading the best snapshot

def test_best_is_found_by_name_and_is_no_snapshot_of_its_own(in_tmp):
    folder = in_tmp / 'results' / '004-x'
    folder.mkdir(parents=True)
    for name in ('network-best', 'network-final', 'network-snapshot-000010'):
        (folder / f'{name}.pkl').touch()
    assert misc.locate_network_pkl(4, 'best').endswith('network-best.pkl')
    assert misc.locate_network_pkl(4).endswith('network-final.pkl')
    names = [os.path.basename(path) for path in misc.list_network_pkls(4)]
    assert names == ['network-snapshot-000010.pkl', 'network-final.pkl']


@pytest.mark.parametrize('names, text', [
    (['network-snapshot-000010', 'network-final'], 'network-snapshot-000010.pkl, network-final'),
    ([], 'no network-')])
def test_a_run_without_a_best_one(names, text, in_tmp):
    folder = in_tmp / 'results' / '004-x'
    folder.mkdir(parents=True)
    for name in names:
        (folder / f'{name}.pkl').touch()
    with pytest.raises(DataError, match=f"no network-best.pkl.*train.metrics=\\['swd'\\].*{text}"):
        misc.locate_network_pkl(4, 'best')


def test_the_last_lines_and_the_report_name_it(in_tmp):
    without = next_steps('.')
    Report('.').write()
    assert 'Best' not in without and 'Best' not in pathlib.Path('report.html').read_text()
    BestSnapshot('.', LOWER).consider(snapshot(1), {'Distance': 12.3456}, 1.25)
    words = 'Distance 12.3456 at kimg 1.2'
    line, = set(next_steps('.').splitlines()) - set(without.splitlines())
    assert line == f'Best:     ./network-best.pkl ({words}; --snapshot best)'
    Report('.').write()
    assert words in pathlib.Path('report.html').read_text()


# ---------------------------------------------------------------- whole runs

class Scripted:
    """Metric with predefined values; 'stop' simulates a crash during the measurement."""
    higher_is_better = False
    values = []

    def __init__(self, num_images, image_shape, image_dtype, minibatch_size):
        pass

    def get_metric_names(self):
        return ['Scripted']

    def get_metric_formatting(self):
        return ['%-8.2f']

    def begin(self, mode):
        pass

    def feed(self, mode, minibatch):
        pass

    def end(self, mode):
        value = 0.0 if mode == 'reals' else self.values.pop(0)
        if isinstance(value, BaseException):
            raise value
        return [value]


METRICS = '--set', f"train.metrics=['{__name__}.Scripted']"
RUN = ('--config', 'tiny.py', '--set', 'train.network_snapshot_ticks=1', '--set',
       'sched.tick_kimg_base=0.032', '--set', 'train.total_kimg=0.16', '--set',
       'train.metric_images=8', *METRICS)
RESUME = '--resume', *METRICS  # A run's record alone may not name code in tests/.


@pytest.mark.slow
def test_a_run_keeps_its_best_over_stops(toy, capsys, monkeypatch):
    """The run is stopped while the second snapshot is measured, and after the best one was linked
    but before its checkpoint.
    """
    folder = pathlib.Path('results/000-tiny')
    Scripted.values = [5.0, KeyboardInterrupt()]
    assert main(*RUN) == 130
    assert read_best(folder).value == 5.0
    saved = (folder / 'network-best.pkl').read_bytes()
    Scripted.values = [math.nan, 3.0, KeyboardInterrupt()]
    assert main(*RESUME) == 130
    assert read_best(folder).value == 3.0
    best = (folder / 'network-best.pkl').read_bytes()
    assert best != saved
    Scripted.values = [4.0] * 9
    assert main(*RESUME) == 0
    assert (folder / 'network-best.pkl').read_bytes() == best
    out = capsys.readouterr().out
    assert out.count('Best so far: Scripted 5.0000') == out.count('Best so far: Scripted 3.0') == 1
    assert f'Best:     {folder}/network-best.pkl (Scripted 3.0000 at kimg 0.1' in out
    assert 'Scripted 3.0000 at kimg' in (folder / 'report.html').read_text()
    assert 'Best so far: Scripted 3.0000' in (folder / 'log.txt').read_text()
    command = ['util_scripts.py', 'generate_fake_images', '--run_id', '0', '--snapshot', 'best']
    from pgan.scripts import command_line
    assert command_line.main(shlex.split(shlex.join(command))[1:]) == 0
    made = [path.name for path in pathlib.Path('results/001-fake-images-0-best').iterdir()]
    assert '000-tiny-network-best-000000.png' in made
    with open('tiny.py', 'a') as file:
        file.write("train.update(resume_run_id=0, resume_snapshot='best', total_kimg=0.04)\n")
    assert main('--config', 'tiny.py') == 0
    assert 'network-best.pkl' in capsys.readouterr().out
    assert not list(pathlib.Path('results').glob('002*/network-best*'))  # No metrics are set.
