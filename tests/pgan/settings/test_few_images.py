"""settings/few_images.py: choices for a folder of pictures; configs/few_images.py."""
import functools
import re
import types

import pytest

from pgan import settings
from pgan.options import with_defaults
from pgan.settings import few_images
from pgan.settings.few_images import RESOLUTIONS, WANTED_KIMG, WIDTHS, Choice, Speed
from pgan.training.phases import full_resolution_kimg, list_phases
from pgan.training.schedule import TrainingSchedule
from tests.support.golden import ROOT

SPEEDS = [Speed(0.3, 1.3e-8, 3.0), Speed(0.05, 1e-10, 5.0), Speed(3.0, 1e-6, 30.0)]
TIMES = [30, 100, 300, 1000, 3000, 10000, 30000, 100000, 1e6]


def configuration(choice, *more):
    """The configuration of a choice, loaded through its assignments."""
    found = few_images.options(choice).items()
    return settings.load((), [*(settings.assignment(*item) for item in found), *more],
                         [choice.precision])


@pytest.mark.parametrize('precision', ['fp32', 'fp16', 'bf16'])
@pytest.mark.parametrize('choice', [
    Choice('mine', 3, 8, 32, 1.0), Choice('005', 300, 64, 64, 123.4, labels=True),
    Choice('a b', 10**6, 1024, 512, 20000, desc='mine'),
], ids=str)
def test_every_choice_is_a_sound_configuration(choice, precision):
    config = configuration(choice._replace(precision=precision))
    settings.check_config(config)
    settings.check_minibatches(config, choice.resolution)
    assert config.dataset.tfrecord_dir == choice.tfrecord_dir
    assert config.desc == choice.desc or choice.tfrecord_dir


@pytest.mark.parametrize('resolution', RESOLUTIONS)
@pytest.mark.parametrize('total', [10, 37.7, 1000, 20000])
def test_growing_leaves_time_for_the_full_resolution_and_shows_pictures(resolution, total):
    config = configuration(Choice('mine', 300, resolution, 32, total))
    log2 = resolution.bit_length() - 1
    grown = full_resolution_kimg(config.sched, log2)
    assert 0.35 < grown / total < 0.45
    schedule = functools.partial(
        TrainingSchedule, training_set=types.SimpleNamespace(resolution_log2=log2), **config.sched)
    phases = list_phases(schedule, config.sched, 0.0, config.train.total_kimg)
    pictures = sum(phase.ticks for phase in phases) // config.train.image_snapshot_ticks
    assert pictures >= 10 and phases[-1].last.lod == 0


def test_the_running_average_is_shorter_than_the_run():
    for total in (1, 10, 100, 1000, 10000):
        smoothing = few_images.smoothing(total)
        updates = total * 1000 / few_images.MINIBATCH
        assert smoothing <= 0.999 and smoothing ** updates < 0.01


@pytest.mark.parametrize(('sides', 'resolution'), [
    ([300] * 3, 256), ([256], 256), ([255], 128), ([3], 8), ([5000], 1024),
    ([64, 64, 500], 64), ([64, 500, 500], 256), ([64, 64, 500, 500], 64)])
def test_the_resolution_is_one_that_most_pictures_reach(sides, resolution):
    assert few_images.resolution_of(sides) == resolution


@pytest.mark.parametrize('speed', SPEEDS)
def test_more_time_and_larger_pictures_never_give_less(speed):
    for count in (3, 300, 5000, 10**6):
        rows = [[few_images.choose_networks(largest, count, seconds, speed) for seconds in TIMES]
                for largest in RESOLUTIONS]
        sizes = [[found.resolution if found else 0 for found in row] for row in rows]
        for largest, row in zip(RESOLUTIONS, sizes):
            assert row == sorted(row) and max(row) <= largest
        for column in zip(*sizes):
            assert list(column) == sorted(column)
        for found, seconds in zip(rows[-1], TIMES):
            if found and found != few_images.SMALLEST:
                assert few_images.kimg_in(seconds, *found, speed) >= WANTED_KIMG[found.resolution]
                assert found.width in WIDTHS


def test_few_pictures_get_no_wide_networks():
    widths = [few_images.choose_networks(32, count, 1e7, SPEEDS[0]).width
              for count in (3, 999, 1000, 10000, 10**6)]
    assert widths == [128, 128, 256, 512, 512]


def test_nothing_fits_into_no_time():
    assert few_images.choose_networks(256, 300, 2.0, SPEEDS[0]) is None
    assert few_images.choose_networks(256, 300, -50.0, SPEEDS[0]) is None


@pytest.mark.parametrize('speed', SPEEDS)
def test_time_and_images_are_inverse(speed):
    for size in RESOLUTIONS:
        seconds = few_images.seconds_for(50.0, size, 64, speed)
        assert few_images.kimg_in(seconds, size, 64, speed) == pytest.approx(50.0)


@pytest.mark.parametrize('speed', SPEEDS)
def test_speed_is_read_off_what_was_seen(speed):
    seen = {size: (speed.sec_per_kimg(size, 64), speed.compiling * (size.bit_length() - 2))
            for size in (4, 32)}
    found = Speed.of(64, seen)
    assert found.sec_per_kimg(64, 32) == pytest.approx(speed.sec_per_kimg(64, 32), rel=1e-3)
    assert found.compiling == pytest.approx(speed.compiling)


def test_speed_of_noise_is_never_negative():
    """On a busy machine, the small stage may take longer than the large one."""
    for seen in ({4: (9.0, 1.0), 32: (3.0, 1.0)}, {4: (0.0, 0.0), 32: (3.0, 0.0)}):
        found = Speed.of(64, seen)
        assert min(found) >= 0 and found.sec_per_kimg(32, 64) > 0


@pytest.mark.parametrize('seconds', [54, 100, 1e5])
def test_the_longest_run_fills_the_time(seconds):
    seconds_of = lambda kimg: 20 + 3.3 * kimg
    total = few_images.longest_run(seconds, seconds_of)
    assert 0.98 * seconds < seconds_of(total) <= 1.005 * seconds
    assert few_images.longest_run(52, seconds_of) is None


# ---------------------------------------------------------------- user settings

CHOSEN = {'desc': 'x', 'train.total_kimg': 5, 'sched.minibatch_base': 8, 'sched.tick_kimg_base': 1,
          'G.dtype': 'bfloat16', 'G.fmap_max': 64}


@pytest.mark.parametrize(('given', 'changes'), [
    ({}, {}),
    (dict(assignments=['train.total_kimg=5', 'desc=mine']),
     {'train.total_kimg': None, 'desc': None}),
    (dict(assignments=['sched={"minibatch_base": 4}']),
     {'sched.minibatch_base': None, 'sched.tick_kimg_base': None}),
    (dict(file="sched.minibatch_base = 4\ndesc += '-more'"),
     {'sched.minibatch_base': 4, 'desc': 'x-more'}),
    (dict(file='sched = EasyDict(minibatch_base=4)'),
     {'sched.minibatch_base': 4, 'sched.tick_kimg_base': None}),
    (dict(uses=['fp32']), {'G.dtype': None}),
    (dict(uses=['preset-v1-1gpu']), {'train.total_kimg': None, 'sched.minibatch_base': None}),
    (dict(uses=['HIST']), {}),
], ids=str)
def test_what_the_user_sets_wins(given, changes, in_tmp):
    """None = the default must not override the user's setting."""
    files = []
    if 'file' in given:
        given = dict(given)
        (in_tmp / 'own.py').write_text(given.pop('file'))
        files = ['own.py']
    wanted = {name: value for name, value in {**CHOSEN, **changes}.items() if value is not None}
    assert settings.after_files(CHOSEN, files, **given) == wanted


@pytest.mark.parametrize('value', [
    3, 0.25, 1e-8, True, None, 'full', 'a b', 'x/y-1', '005', 'None', 'true', '1e3', "it's",
    {4: 128}, [1, 'a'], {}], ids=repr)
def test_an_assignment_gives_back_its_value(value):
    for name in ('train.metrics', 'train.made_up'):
        section, _, key = name.partition('.')
        config = settings.load((), [settings.assignment(name, value)])
        assert config.train[key] == value


# ---------------------------------------------------------------- configs/few_images.py

@pytest.mark.parametrize('precision', ['fp32', 'bf16'])
def test_the_file_to_edit_makes_the_same_run(precision, in_tmp):
    text = (ROOT / 'configs' / 'few_images.py').read_text()
    text, count = re.subn("precision='fp32'", f'precision={precision!r}', text)
    assert count == 1
    (in_tmp / 'few.py').write_text(text)
    edited = settings.values(settings.load(['few.py']))
    config = settings.load(['few.py'])
    settings.check_config(config)
    wanted = settings.values(configuration(
        Choice('mine', 1000, 64, 64, 500, precision)))
    del edited['EasyDict'], wanted['EasyDict']
    assert edited == wanted


def test_defaults_are_the_signatures():
    """Options omitted from the printed command have their default values."""
    for name, value in few_images.DEFAULTS.items():
        section, _, key = name.partition('.')
        function = settings.checking.import_function(settings.checking.OWN_FUNCTIONS[section])
        assert with_defaults(function)[key] == value
