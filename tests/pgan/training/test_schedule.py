"""training/schedule.py equals the original's schedule exactly: every preset, precision and
resolution.
"""
import csv
import functools
import types

import pytest

from pgan.errors import ConfigError
from pgan.training.schedule import TrainingSchedule
from tests.support.config_lines import namespace
from tests.support.golden import GOLDEN, load_json
from tests.support.networks import int_keys


def training_set(resolution):
    return types.SimpleNamespace(resolution_log2=resolution.bit_length() - 1)


@functools.cache
def config_of(preset, precision, extra):
    return namespace(f'preset-{preset}', precision, *([extra] if extra else []))


def rows():
    with open(GOLDEN / 'schedule.csv', newline='') as file:
        return list(csv.DictReader(file))


def test_schedule_csv_exactly():
    count = 0
    for row in rows():
        ns = config_of(row['preset'], row['precision'], row['extra'])
        assert ns['num_gpus'] == int(row['num_gpus'])
        assert ns['train']['total_kimg'] == float(row['total_kimg'])
        s = TrainingSchedule(int(row['cur_nimg']), training_set(int(row['resolution'])),
                             num_gpus=ns['num_gpus'], **ns['sched'])
        actual = [s.kimg, s.lod, s.resolution, s.minibatch, s.G_lrate, s.D_lrate, s.tick_kimg]
        columns = ['kimg', 'lod', 'cur_resolution', 'minibatch', 'G_lrate', 'D_lrate', 'tick_kimg']
        assert actual == [float(row[c]) for c in columns], row
        count += 1
    assert count == 2734


@pytest.mark.parametrize('case', load_json('schedule_custom.json'))
def test_settings_that_no_preset_reaches_exactly(case):
    for row in case['rows']:
        s = TrainingSchedule(row['cur_nimg'], training_set(case['resolution']),
                             num_gpus=case['num_gpus'], **int_keys(case['sched']))
        actual = dict(kimg=s.kimg, lod=s.lod, cur_resolution=s.resolution, minibatch=s.minibatch,
                      G_lrate=s.G_lrate, D_lrate=s.D_lrate, tick_kimg=s.tick_kimg,
                      cur_nimg=row['cur_nimg'])
        assert actual == row


def test_lod_never_rises_and_ends_at_zero():
    lods = [
        TrainingSchedule(n * 100, training_set(32), lod_training_kimg=3, lod_transition_kimg=2).lod
        for n in range(250)
    ]
    assert lods[0] == 3 and lods[-1] == 0
    assert all(later <= earlier for earlier, later in zip(lods, lods[1:]))


def test_minibatch_smaller_than_the_number_of_gpus_is_refused():
    with pytest.raises(ConfigError, match='minibatch_dict'):
        TrainingSchedule(0, training_set(32), num_gpus=8, minibatch_base=4)
