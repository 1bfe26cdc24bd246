"""benchmarks/few_images.py and fine_tuning.py: runs have the right options, and tables match the
rows.
"""
import json
import pathlib
import subprocess
import sys

import pytest

from benchmarks import few_images, fine_tuning
from pgan import settings
from tests.support.golden import ROOT


def row(kimg, swd, **more):
    """A run's row, with a Frechet distance ten times its sliced Wasserstein distance."""
    return dict(kimg=kimg, swd=swd, frechet=[10 * value for value in swd], **more)


def options_of(config):
    """Options of a run, without its name."""
    return {name: value for name, value in settings.values(config).items()
            if name not in ('desc', 'EasyDict')}


@pytest.fixture
def configs(monkeypatch):
    """Configurations of the runs of train.py, which are not made."""
    found = []

    def instead(command, **_):
        config = settings.load([command[-1]])
        settings.check_config(config)
        pathlib.Path(config.result_dir, f'000-{config.desc}').mkdir(exist_ok=True)
        found.append(config)
    monkeypatch.setattr(subprocess, 'run', instead)
    return found


@pytest.mark.parametrize('loss', ['wgangp', 'lsgan'])
@pytest.mark.parametrize('method', few_images.METHODS)
def test_runs_on_few_images_differ_in_augmentation_alone(configs, tmp_path, method, loss):
    args = few_images.parse_args([f'--result_dir={tmp_path}', '--images=70', f'--loss={loss}',
                                  '--target=0.25', '--speed=30'])
    folder, _ = few_images.train(args, method, 2)
    assert folder == str(tmp_path / f'000-few-70-{method}-seed2')
    few_images.train(args, 'none', 2)
    own, none = (options_of(config) for config in configs)
    assert own['dataset']['validation'] == 4930 and own['random_seed'] == 1002
    assert own['train'].pop('augment', None) == (None if method == 'none' else method)
    none['train'].pop('augment', None)
    assert own['train']['augment_target'] == 0.25 and own['train']['augment_kimg'] == 30
    assert own == none


def test_fine_tuned_runs_differ_in_their_beginning_alone(configs, tmp_path):
    args = fine_tuning.parse_args([f'--result_dir={tmp_path}'])
    for kind, start in (('tuned', '0-donor'), ('from nothing', None)):
        fine_tuning.train(args, kind, 1, total_kimg=4, tick_kimg=1, init_from=start)
    tuned, nothing = (options_of(config) for config in configs)
    assert tuned['train'].pop('init_from') == '0-donor'
    assert nothing['train'].pop('init_from') is None
    assert tuned == nothing


def test_the_table_tells_best_and_equally_late():
    """Of a longer run, only the part up to the end of the others counts."""
    rows = [row([4, 8, 12, 16], [5.0, 2.0, 3.0, 9.0], method='none', seed=0),
            row([4, 8, 12], [5.0, 4.0, 5.0], method='none', seed=1),
            row([4, 8, 12], [3.0, 2.0, 1.0], method='ada', seed=0)]
    titles, line, none, ada = few_images.table(rows).splitlines()
    assert 'at 12 kimg' in titles
    assert titles.count('|') == line.count('|') == none.count('|')
    assert none.startswith(
        '| none | 2 | 3 (2 to 4) | 8 (8 to 8) | 4 (3 to 5) | 1.00 | 30 (20 to 40)')
    assert ada.startswith('| ada | 1 | 1 (1 to 1) | 12 (12 to 12) | 1 (1 to 1) | 0.25 | 10 ')


def test_when_a_distance_is_reached():
    """The first snapshot at most that far; there may be none, and a seed may lack one of its runs.
    """
    rows = [row([2, 4, 6], [9.0, 5.0, 3.0], kind='from nothing', seed=0),
            row([1, 2, 3], [6.0, 2.9, 3.5], kind='tuned', seed=0),
            row([2, 4, 6, 8], [9.0, 5.0, 2.0, 4.0], kind='from nothing', seed=1),
            row([1, 2, 3], [6.0, 2.9, 3.5], kind='tuned', seed=1),
            row([2, 4, 6, 8], [9.0, 5.0, 2.0, 4.0], kind='from nothing', seed=2),
            row([1], [6.0], kind='donor', seed=0)]
    assert fine_tuning.compare(rows, 'swd', 6) == [(0, 3.0, 2), (1, 2.0, None)]
    assert fine_tuning.compare(rows, 'swd', 8) == [(1, 4.0, 2)]
    assert '| frechet | 6 | 30, 20 | 2, later |' in fine_tuning.table(rows)


@pytest.mark.slow
def test_the_cost_of_augmentation():
    """Each way of training a step is timed against the step without augmentation."""
    done = subprocess.run([sys.executable, '-m', 'benchmarks.augmented_step', '--resolution=4',
                           '--fmap_base=8', '--fmap_max=8', '--minibatch=4', '--seconds=0.1'],
                          cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert set(found['sec_per_kimg']) == {'without', 'held out', 'diffaugment', 'ada'}
    assert all(each['ratio'] > 0 and each['pairs'] >= 3 for each in found['ratios'].values())
