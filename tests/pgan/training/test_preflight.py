"""training/preflight.py: checks before the first step, and that they have no side effects."""
import collections
import contextlib
import functools
import math
import os
import random
import re
import types

import numpy as np
import pytest
import tensorflow as tf

import misc
from dataset import SyntheticDataset
from pgan.errors import ConfigError, DataError
from pgan.reporting import overview, schedule_table
from pgan.reporting.timetable import Expected
from pgan.training import phases, preflight
from pgan.training.checkpoint import Checkpoints, random_state
from pgan.training.schedule import TrainingSchedule
from pgan.training.step import TrainingSteps
from tests.support.faults import tree
from tests.support.toy_runs import expect_error, main
from tests.support.training_steps import make
from tfutil import Stage, summary
from tfutil.devices import make_devices


def phases_of(resolution_log2=5, start=0.0, total=100.0, **sched):
    training_set = types.SimpleNamespace(resolution_log2=resolution_log2)
    schedule = functools.partial(TrainingSchedule, training_set=training_set, **sched)
    return phases.list_phases(schedule, sched, start, total), schedule


def test_phases_are_the_schedule():
    """Random schedules: the phases cover the run without gaps, and their values hold at every
    image.
    """
    rnd = random.Random(1)
    for _ in range(60):
        sched = dict(lod_training_kimg=rnd.choice([0, 1.5, 3, 600]),
                     lod_transition_kimg=rnd.choice([0, 2, 4, 600]),
                     lod_initial_resolution=rnd.choice([4, 8]), minibatch_dict={8: 32, 16: 64},
                     G_lrate_dict={16: 0.01})
        start, total = rnd.choice([0.0, 2.0, 7.3]), rnd.choice([8.0, 30.0, 5000.0])
        found, schedule = phases_of(start=start, total=total, **sched)
        assert found[0].start_kimg == start and found[-1].end_kimg == total
        assert all(a.end_kimg == b.start_kimg for a, b in zip(found, found[1:]))
        for phase in found:
            for share in (0.01, 0.5, 0.99):
                now = schedule(int((phase.start_kimg + share * phase.kimg) * 1000))
                assert (now.resolution, now.minibatch,
                        now.G_lrate) == (phase.last.resolution, phase.last.minibatch,
                                         phase.last.G_lrate)
                assert (now.lod == math.floor(now.lod)) != phase.is_fading, (sched, phase, now.lod)


@pytest.mark.parametrize('minibatches, fits', [
    (dict(minibatch_base=10**6), True), (dict(minibatch_base=10**11), False),
    (dict(minibatch_dict={32: 10**10}), False),
    (dict(minibatch_base=10**11, max_minibatch_per_gpu={4: 8, 8: 8, 16: 8, 32: 8}), True)])
def test_a_minibatch_that_no_memory_holds_is_refused(minibatches, fits):
    run_phases, _ = phases_of(lod_training_kimg=10, lod_transition_kimg=10, **minibatches)
    with contextlib.nullcontext() if fits else pytest.raises(
            ConfigError, match='minibatch of 1000.*Lower sched.minibatch_base'):
        preflight.check_memory(run_phases, 3)


@pytest.mark.parametrize('start', [100.0, 100.5, 9999.0])
def test_a_run_that_is_long_enough_has_no_phases_left(start):
    found, _ = phases_of(start=start, total=100.0)
    assert found == []


def test_a_schedule_without_growth_is_one_phase():
    found, _ = phases_of(lod_initial_resolution=32)
    assert [(phase.kimg, phase.last.lod) for phase in found] == [(100.0, 0.0)]
    assert phases_of(start=100.0)[0] == []


def test_the_printed_table(capsys):
    found, _ = phases_of(resolution_log2=3, total=10, lod_training_kimg=2, lod_transition_kimg=3,
                         minibatch_dict={4: 128})
    expected = [Expected(phase, seconds, seconds * phase.kimg, 5.0, 0.0)
                for phase, seconds in zip(found, (36.0, 720.0, 720.0))]
    schedule_table.print_schedule(found, expected)
    lines = capsys.readouterr().out.split('\n')
    assert [line.split() for line in lines[1:4]] == [
        ['0', '-', '2', '4x4', '1.00', '128', '0.001', '0.001', '36', '1m', '17s'],
        ['2', '-', '5', '8x8', '1.00', '-', '0.00', '16', '0.001', '0.001', '720', '36m', '05s'],
        ['5', '-', '10', '8x8', '0.00', '16', '0.001', '0.001', '720', '1h', '00m']]
    assert lines[4] == 'In all 1h 37m: training 1h 37m, compiling 15s, saving 0s.'


def test_the_table_of_the_longest_run_fits_a_terminal(capsys):
    found, _ = phases_of(resolution_log2=10, total=100000, minibatch_base=1024,
                         lod_training_kimg=612.5, G_lrate_dict={1024: 0.00125})
    expected = [Expected(phase, 1234.5, 999999.0, 5.0, 0.0) for phase in found]
    schedule_table.print_schedule(found, expected, 'Metrics come')
    lines = capsys.readouterr().out.split('\n')
    assert max(map(len, lines)) <= 80 and lines[-4].split()[-3:] == ['1234', '11d', '13h']


@pytest.mark.parametrize('total, words', [
    (1.5, "ends at 8x8, at 1.5 kimg: below the 32x32 of the data set. 32x32 is reached at 6 kimg. "
          "To train up to there, add --set train.total_kimg=6 "),
    (5.5, "ends at 5.5 kimg while 32x32 is still fading in. 32x32 is reached at 6 kimg. "),
    (6, None), (7, None)])
def test_a_schedule_that_ends_too_early(total, words):
    options = dict(lod_training_kimg=1, lod_transition_kimg=1)
    found, _ = phases_of(total=total, **options)
    full = phases.full_resolution_kimg(options, 5)
    warning = overview.schedule_warning(found[-1], 32, full)
    assert warning is None if words is None else words in warning
    for total_kimg in {full, *map(float, re.findall(r'total_kimg=([\d.]+)', warning or ''))}:
        assert overview.schedule_warning(phases_of(total=total_kimg, **options)[0][-1], 32,
                                         full) is None
        assert phases_of(total=total_kimg + 1, **options)[0][-1].last.lod == 0


def test_rounding_does_not_make_a_schedule_too_short():
    options = dict(lod_training_kimg=0.8, lod_transition_kimg=0.4)  # 3.6000000000000005
    full = phases.full_resolution_kimg(options, 5)
    warning = overview.schedule_warning(phases_of(total=2.5, **options)[0][-1], 32, full)
    assert 'train.total_kimg=3.6 ' in warning
    for total in (3.6, 9.0):
        found, _ = phases_of(total=total, **options)
        assert len(found) == (6 if total == 3.6 else 7)  # the last one is not split
        assert overview.schedule_warning(found[-1], 32, full) is None


def test_a_summary_fits_a_terminal_and_keeps_options_whole(capsys):
    found, _ = phases_of(total=1.5, lod_training_kimg=1, lod_transition_kimg=1)
    net = types.SimpleNamespace(trainables={}, input_shape=[None, 512], activation_dtype='float32')
    run = types.SimpleNamespace(
        config=types.SimpleNamespace(dataset=dict(tfrecord_dir='flowers ' * 20), random_seed=1),
        training_set=types.SimpleNamespace(shape=(3, 32, 32), num_images=9, label_size=0),
        networks=(net, net, net), devices=types.SimpleNamespace(workers=1, num_replicas=1),
        held_out=None, cur_nimg=0, options=types.SimpleNamespace(
            augment=None, mirror_augment=True, total_kimg=1.5, metrics=['fid']),
        path='results/000-' + 'x' * 40)
    expected = [Expected(phase, 1.0, 1.0, 1.0, 1.0) for phase in found]
    overview.print_overview(run, found, expected, 6.0)
    out = capsys.readouterr().out
    assert max(map(len, out.split('\n'))) <= 80 and ' --set train.total_kimg=6 ' in out.replace(
        '\n', ' ') and any('--set train.total_kimg=6' in line for line in out.split('\n'))
    assert 'Metrics come on top.' in out


def test_a_schedule_that_never_grows():
    options = dict(lod_training_kimg=0, lod_transition_kimg=0)
    found, _ = phases_of(total=9, **options)
    warning = overview.schedule_warning(found[-1], 32, phases.full_resolution_kimg(options, 5))
    assert 'ends at 4x4' in warning and '--set sched.lod_initial_resolution=32' in warning
    for start, lod_options in ((32, options), (32, {})):
        lod_options = dict(lod_options, lod_initial_resolution=start)
        found, _ = phases_of(total=9, **lod_options)
        full = phases.full_resolution_kimg(lod_options, 5)
        assert full == 0 and overview.schedule_warning(found[-1], 32, full) is None


def needed_by(networks, phases, **ticks):
    options = {**dict(image_snapshot_ticks=10**9, network_snapshot_ticks=10**9), **ticks}
    return preflight.disk_space_needed(phases, networks, '1080p', **options)


def test_the_space_that_a_run_needs(in_tmp):
    """Compared with the actual files: never less than their size."""
    steps, _ = make()
    networks = (steps.G, steps.D, steps.Gs)
    misc.save_pkl(networks, 'snapshot.pkl')
    os.mkdir('checkpoints')
    latents = np.zeros([1024, steps.Gs.input_shape[1]])  # of a 1080p grid
    Checkpoints('.', make_devices(), networks, (steps.G_opt, steps.D_opt)).save(
        dict(random=random_state(), grid=dict(latents=latents)))
    snapshot = os.path.getsize('snapshot.pkl')
    checkpoint = sum(
        os.path.getsize(os.path.join('checkpoints', name)) for name in os.listdir('checkpoints'))
    found, _ = phases_of(resolution_log2=4, total=1000)
    least = needed_by(networks, found)
    assert 4 * checkpoint < least.checkpoints < 4 * (checkpoint + 150_000)
    assert 2 * snapshot < least.snapshots < 2 * (snapshot + 80_000)
    assert least.at_once < least.total
    ticks, variables = sum(phase.ticks for phase in found), sum(
        var.shape.num_elements() * 4 for net in networks for var in net.vars.values())
    assert ticks >= 7
    much = needed_by(networks, found, network_snapshot_ticks=1, image_snapshot_ticks=1)
    assert much.snapshots - least.snapshots >= ticks * variables
    assert (much.pictures - least.pictures) / ticks == preflight.png_bytes(512, 512, 1)
    for more in (dict(save_weight_histograms=True), dict(save_tf_graph=True)):
        assert needed_by(networks, found, **more).reports > least.reports


@pytest.mark.parametrize('channels', [1, 3])
@pytest.mark.parametrize('size', [(1, 1), (4, 300), (3000, 200)])
def test_no_picture_is_larger_than_its_bound(in_tmp, size, channels):
    """Noise is incompressible."""
    noise = np.random.RandomState(0).randint(0, 256, [channels, *size[::-1]], dtype=np.uint8)
    misc.save_image(noise, 'noise.png', [0, 255])
    raw = size[0] * size[1] * channels
    assert os.path.getsize('noise.png') <= preflight.png_bytes(*size, channels) < 1.01 * raw + 2000


@pytest.mark.slow
@pytest.mark.exhaustive
def test_a_toy_run_ends_smaller_than_was_said(toy, monkeypatch, capsys):
    """With as much disk space as announced, or a little less."""
    usage, said = collections.namedtuple('usage', 'free'), []
    original = preflight.disk_space_needed

    def noted(*arguments, **options):
        said.append(original(*arguments, **options))
        return said[-1]
    monkeypatch.setattr(preflight, 'disk_space_needed', noted)
    assert main('--config', 'tiny.py', '--set', 'train.network_snapshot_ticks=1', '--set',
                'train.save_weight_histograms=True', '--set', 'train.save_tf_graph=True') == 0
    sizes = collections.Counter()
    for name, size in sizes_of('results').items():
        kind = ('checkpoints' if 'checkpoints/' in name else 'snapshots' if name.endswith('.pkl')
                else 'pictures' if name.endswith('.png') else 'reports')
        sizes[kind] += size
    assert all(0 < sizes[kind] <= getattr(said[0], kind) for kind in sizes) and len(sizes) == 4
    assert said[0].total < 8 * sum(sizes.values())
    capsys.readouterr()
    monkeypatch.setattr(preflight.shutil, 'disk_usage', lambda path: usage(said[0].at_once - 1))
    expect_error(capsys, main('--config', 'tiny.py'), 'image grids', 'Free some space')


def sizes_of(folder):
    return {
        os.path.join(place, name): os.path.getsize(os.path.join(place, name))
        for place, _, names in os.walk(folder) for name in names
    }


def test_a_disk_without_room(in_tmp, monkeypatch, capsys):
    usage = collections.namedtuple('usage', 'free')
    needed = preflight.DiskSpace(400, 600, 500, 500, at_once=1000)
    for free, expected in ((999, DataError), (1001, 'Warning: 0.001 MB are free'), (2001, '')):
        monkeypatch.setattr(preflight.shutil, 'disk_usage', lambda path, free=free: usage(free))
        if expected is DataError:
            with pytest.raises(DataError, match="disk of result_dir = .not/yet/there.*"
                                                "Free some space"):
                preflight.check_disk_space('not/yet/there', needed)
        else:
            preflight.check_disk_space('not/yet/there', needed)
            assert capsys.readouterr().out.startswith(expected) and (expected
                                                                     or not capsys.readouterr().out)


@pytest.mark.parametrize('size', [1, 999, 1001, 1694321, 99999999, 10**8, 123456789012, 0])
def test_the_size_that_is_said_suffices(size):
    for rounded, sign in ((math.ceil, 1), (math.floor, -1)):
        number, unit = preflight._size_text(size, rounded).split()
        said = float(number) * {'MB': 1e6, 'GB': 1e9}[unit]
        assert -1e-6 * size <= sign * (said - size) <= 0.011 * size


def everything(steps):
    """All state that later updates depend on, in comparable form."""
    variables = [var for net in (steps.G, steps.D, steps.Gs) for var in net.vars.values()]
    for opt, net in ((steps.G_opt, steps.G), (steps.D_opt, steps.D)):
        variables += tf.nest.flatten(opt.state_variables(net.trainables))
    return ([var.numpy().tobytes()
             for var in variables], steps.state(), steps.minibatches.state(), summary.state(),
            random.getstate(), [np.asarray(part).tobytes() for part in np.random.get_state()])


@pytest.mark.first(1, rest='exhaustive')
@pytest.mark.slow
@pytest.mark.parametrize('options', [dict(D_repeats=1), dict(joint=True)], ids=str)
def test_a_dry_step_leaves_no_trace_and_is_used_later(options, monkeypatch):
    """The run is bitwise identical with and without one; no step is compiled twice, and those of
    past stages are freed.
    """
    def watched(steps, sched):
        seconds = dry_step(steps, sched)
        tried.append(everything(steps))
        return seconds
    after, tried, dry_step, compiled = [], [], preflight.dry_step, []
    monkeypatch.setattr(preflight, 'dry_step', watched)
    compile_step = TrainingSteps._compile
    monkeypatch.setattr(
        TrainingSteps, '_compile', lambda self, kind, *rest: compiled.append(
            (kind, rest[1])) or compile_step(self, kind, *rest))
    run_phases, schedule = phases_of(3, total=0.12, minibatch_base=8, lod_training_kimg=0.032,
                                     lod_transition_kimg=0.032)
    for dry in (False, True):
        tf.random.set_seed(1)
        np.random.seed(1)
        random.seed(1)
        summary.flush()
        compiled.clear()
        steps, training_set = make(resolution=8, **options)
        for net, values in zip((steps.G, steps.D, steps.Gs), after[0][0] if dry else ()):
            for name, value in values.items():
                net.set_var(name, value)
        first = [{name: net.get_var(name)
                  for name in net.vars} for net in (steps.G, steps.D, steps.Gs)]
        if dry:
            before = everything(steps)
            trial, = preflight.try_largest_step(steps, run_phases)
            assert trial[:2] == (8, True) and trial.sec_per_kimg > 0 and trial.compiling > 0
            assert everything(steps) == before and before not in tried and len(tried) >= 3
        cur_nimg = 0
        while cur_nimg < 96:
            cur_nimg += sum(
                steps.run(schedule(cur_nimg), number) for number in range(len(steps.step_kinds)))
            assert len(steps._compiled) <= (2 if dry else 1) * len(set(steps.step_kinds))
        stages = {Stage(1, False), Stage(0, True), Stage(0, False)}
        assert {stage for _, stage in compiled} == stages
        assert len(compiled) == len(set(compiled))
        assert len(steps._compiled) == len(set(steps.step_kinds))
        after.append((first, everything(steps)))
    assert after[0][1] == after[1][1]


OUT_OF_MEMORY = [
    (tf.errors.ResourceExhaustedError(None, None, 'OOM when allocating tensor'), 'the device'),
    (tf.errors.NotFoundError(None, None, 'No algorithm worked!  Error messages:'), 'the device'),
    (tf.errors.InternalError(None, None,
                             'Failed to allocate the scratch space: out of memory'), 'the device'),
    (tf.errors.InternalError(None, None,
                             'CUDNN failed to allocate the scratch space'), 'the device'),
    (tf.errors.UnknownError(None, None, 'CUDNN_STATUS_ALLOC_FAILED in ...'), 'the device'),
    (tf.errors.ResourceExhaustedError(None, None, 'by its type alone'), 'the device'),
    (tf.errors.InternalError(None, None, 'Failed copying input tensor from CPU:0 to GPU:0 in order '
                             'to run Add: Dst tensor is not initialized.'), 'the device'),
    (MemoryError(), 'this machine'),
    (np._core._exceptions._ArrayMemoryError((10**9, 10**9), np.dtype('uint8')), 'this machine'),
]


@pytest.mark.parametrize('error, of', OUT_OF_MEMORY,
                         ids=lambda value: f'{type(value).__name__}: {value}'[:60])
def test_a_shortage_of_memory_is_recognised(error, of):
    now = types.SimpleNamespace(minibatch=8, resolution=16)
    words = f'minibatch of 8 at 16x16 does not fit into the memory of {of}'
    with pytest.raises(ConfigError, match=words), preflight.explaining_memory_shortage(now):
        raise error


@pytest.mark.slow
def test_a_step_that_does_not_fit_into_memory(toy, capsys, monkeypatch):
    error, of = OUT_OF_MEMORY[0]

    def step(self, kind, moment):
        raise error
    monkeypatch.setattr(TrainingSteps, 'step', step)
    for argument, size in (('--dry-run', 4), ('--set=train.dry_step=True', 16),
                           ('--set=train.dry_step=False', 4)):
        expect_error(capsys, main('--config', 'tiny.py', argument),
                     f'minibatch of 8 at {size}x{size} does not '
                     f'fit into the memory of {of}', f'sched.minibatch_dict[{size}]')
        assert os.path.exists('results') == (argument == '--set=train.dry_step=False')
    with open('results/000-tiny/report.html') as file:
        page = file.read()
    assert 'Failed on' in page and 'a minibatch of 8 at 4x4 does not fit' in page


@pytest.mark.parametrize('error', [
    tf.errors.InvalidArgumentError(None, None, 'shapes differ'),
    tf.errors.InternalError(None, None, 'other'),
    ValueError('out of memory')
], ids=str)
def test_other_errors_stay_what_they_are(error):
    with pytest.raises(type(error)) as raised, preflight.explaining_memory_shortage(
            types.SimpleNamespace(minibatch=8, resolution=16)):
        raise error
    assert raised.value is error


@pytest.mark.slow
def test_a_minibatch_that_the_host_has_no_room_for():
    """NumPy's own error, raised where the minibatch is prefetched."""
    class Huge(SyntheticDataset):
        def _generate_images(self, minibatch_size, lod, shape):
            return np.zeros([1 if self.position == 0 else 2**50, *shape],
                            np.uint8) if self.position < 2 else None
    steps, _ = make(training_set=Huge(16, 1))
    sched = types.SimpleNamespace(lod=0.0, minibatch=1, D_lrate=0.01, G_lrate=0.01, resolution=16)
    with pytest.raises(ConfigError, match='minibatch of 1 at 16x16 does not fit into the memory '
                                          'of this machine'):
        for _ in range(2):
            preflight.dry_step(steps, sched)


@pytest.mark.slow
def test_a_dry_run_tells_the_time_and_leaves_nothing_behind(toy, capsys):
    before = tree()
    assert main('--config', 'tiny.py', '--dry-run', '--set', 'dataset.resolution=8') == 0
    out = capsys.readouterr().out
    assert tree() == before
    for size in (4, 8):
        assert f'\nTrying a step at {size}x{size}, 1 of 4...\n' in out.partition('This run')[0]
    table = out.split('sec/kimg')[1].split('In all')[0]
    rows = [line.split() for line in table.split('\n') if ' - ' in line]
    assert [row[3] for row in rows] == ['4x4', '8x8', '8x8'
                                        ] and 'Everything fits' in out and '\ntick ' not in out
    training, compiling, saving = re.search(
        r'In all .*: training (\S+), compiling (\S+), saving (\S+)\.\n', out).groups()
    assert compiling != '0s'
    assert all(len(line) <= 80 for line in out.partition('This run:')[2].split('\n'))
    expect_error(capsys,
                 main('--config', 'tiny.py', '--dry-run', '--set', 'dataset.tfrecord_dir=none'),
                 "'datasets/none' not found")
    script = "train={'func': 'util_scripts.generate_fake_images', 'run_id': 0}"
    expect_error(capsys, main('--config', 'tiny.py', '--dry-run', '--set', script),
                 '--dry-run is for training')
    assert tree() == before
