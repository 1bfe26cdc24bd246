"""Advice before the first step: each note appears when it should, and following it removes it."""
import re
import types

import pytest

from pgan import settings
from pgan.options import with_defaults
from pgan.reporting import overview
from pgan.reporting.timetable import Expected
from pgan.training import advice, phases
from pgan.training.schedule import TrainingSchedule

SET = re.compile(r'--set (\S+)')


def make_run(*assignments, num_images=50000, uses=('cifar10',), files=()):
    """Input of `advice` for a run at 32x32: (run, phases)."""
    config = settings.load(list(files), ['train.total_kimg=100', *assignments], list(uses))
    options = types.SimpleNamespace(**{
        **dict(augment=None, init_from=None, image_snapshot_ticks=1), **config.train})
    data = types.SimpleNamespace(num_images=num_images, resolution_log2=5)

    def schedule(cur_nimg):
        return TrainingSchedule(cur_nimg, data, total_kimg=options.total_kimg, **config.sched)
    found = phases.list_phases(schedule, config.sched, 0.0, options.total_kimg)
    return types.SimpleNamespace(config=config, options=options, training_set=data), found


def notes(*assignments, seconds=None, **options):
    """Notes on a run of `make_run`; its phases take `seconds` each."""
    run, found = make_run(*assignments, **options)
    expected = None if seconds is None else [Expected(phase, 1.0, seconds, 0, 0) for phase in found]
    return advice.advice(run, found, expected)


FINE = ('sched.tick_kimg_dict={}', 'sched.tick_kimg_base=5')


def test_nothing_is_said_of_a_run_that_is_fine():
    assert notes(*FINE) == []
    assert notes(*FINE, seconds=3600.0) == []


@pytest.mark.parametrize('assignments, words, count', [
    (['sched.tick_kimg_base=1'], 'sched.tick_kimg_base=1 has no effect', 1),
    ([], 'ends after 100 kimg, before its first tick of 160 kimg', 1),
    ([*FINE, 'sched.minibatch_base=8', 'sched.minibatch_dict={4: 16}'], '', 0),
    ([*FINE, 'sched.tick_kimg_base=0.5'], 'later ones overwrite earlier', 1),
], ids=['base', 'tick', 'both', 'pictures'])
def test_notes_and_their_cures(assignments, words, count):
    found = notes(*assignments)
    assert len(found) == count and all(words in note for note in found)
    cures = [text for note in found for text in SET.findall(note)]
    assert bool(cures) == bool(count) and notes(*assignments, *cures) == []


@pytest.mark.parametrize('base', sorted(advice.BASES))
def test_a_base_that_no_resolution_uses(base, tmp_path):
    """Set by --set and in a file. Presets, which set both in config.py, get no note."""
    by_resolution = advice.BASES[base]
    options = with_defaults(TrainingSchedule, {})
    value = options[base] / 2
    value = int(value) if base == 'minibatch_base' else value
    exceptions = {size: options[base] for size in (4, 8, 16, 32)}
    file = tmp_path / 'own.py'
    file.write_text(f'sched.{base} = {value}\n')
    sched = {by_resolution: exceptions, base: value}
    given = {f'sched.{base}'}
    all_of_them, more = {4, 8, 16, 32}, {4, 8, 16, 32, 64}
    options.update(sched)
    assert list(advice.outvoted(sched, options, given, all_of_them)) == [base]
    assert not advice.outvoted(sched, options, given, more)
    assert not advice.outvoted(sched, options, set(), all_of_them)
    assert not advice.outvoted(sched, options, {*given, f'sched.{by_resolution}'}, all_of_them)
    for preset in ('preset-v1-1gpu', 'preset-v2-1gpu'):
        assert notes(*FINE, uses=['cifar10', preset]) == []
    config = settings.load([file], [], ['cifar10'])
    assert f'sched.{base}' in settings.set_outside(config)
    assert f'sched.{by_resolution}' not in settings.set_outside(config)


def test_a_run_of_months():
    run, found = make_run(*FINE)
    days = 40 * 24 * 3600
    note, = notes(*FINE, seconds=days / len(found))
    assert '40d' in note and 'train.py --images FOLDER --hours 8' in note
    cures = SET.findall(note)
    assert len(cures) == 4 and all('fmap' in cure for cure in cures)
    again, = notes(*FINE, *cures, seconds=days / len(found))
    assert '--set' not in again


@pytest.mark.parametrize('count, assignments, is_told', [
    (230, [], True), (1, [], True), (50000, [], False), (0, [], False),
    (230, ['train.augment=ada'], False), (230, ['train.init_from=other.pkl'], False)])
def test_few_pictures(count, assignments, is_told):
    found = notes(*FINE, *assignments, num_images=count)
    assert [f'{count} images are few' in note for note in found] == [True] * is_told
    for note in found:
        assert notes(*FINE, *SET.findall(note), num_images=count) == []


@pytest.mark.parametrize('total', [0.03, 2.5, 60, 5999])
def test_a_short_schedule_can_be_made_to_grow_faster(total):
    run, found = make_run(f'train.total_kimg={total}')
    full = phases.full_resolution_kimg(run.config.sched, 5)
    text = overview.schedule_warning(found[-1], 32, full, doublings=3)
    if total == 5999:
        assert text is None
        return
    longer, *faster = SET.findall(text)
    assert longer == 'train.total_kimg=3600' and len(faster) == 2
    run, found = make_run(f'train.total_kimg={total}', *faster)
    full = phases.full_resolution_kimg(run.config.sched, 5)
    assert total / 2 < full <= total * overview.FULL_AT * 1.001
    assert overview.schedule_warning(found[-1], 32, full, doublings=3) is None
