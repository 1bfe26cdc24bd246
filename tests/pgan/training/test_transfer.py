"""Runs that start from another run's networks on another data set: train.init_from, train.freeze_D.
"""
import functools
import glob
import os
import re
import shutil
import types

import numpy as np
import pytest

import misc
import tfutil
from misc import resuming
from pgan.errors import ConfigError
from pgan.training import phases, transfer
from pgan.training.schedule import TrainingSchedule
from pgan.training.step import TrainingSteps, UpdateOptions
from pgan.training.transfer import Start
from tests.support.golden import GOLDEN
from tests.support.networks import max_abs
from tests.support.replica_inputs import GENTLE, make_steps, train, weights
from tests.support.toy_runs import expect_error, main, make_toy
from tfutil.devices import make_devices

SET_32 = types.SimpleNamespace(resolution_log2=5)
OPTIONS = dict(num_channels=3, resolution=16, fmap_base=32, fmap_max=8)


def snapshot(path='network.pkl', lod=0.0, G={}, D={}, **options):
    """Write a snapshot of random networks, with Gs different from G; return Gs."""
    nets = [tfutil.Network(name, f'networks.{name[0]}_paper', **{**OPTIONS, **options, **own})
            for name, own in (('G', G), ('D', D), ('Gs', G))]
    rnd = np.random.RandomState(0)
    for net in nets:
        for name, var in net.trainables.items():
            net.set_var(name, rnd.randn(*var.shape))
        net.set_var('lod', lod)
    misc.save_pkl(tuple(nets), path)
    return nets[2]


@pytest.fixture
def toys(toy):
    """The current folder has data sets toy (3x16x16), big (32x32) and gray (1x16x16), and tiny.py.
    """
    make_toy('datasets/big', resolution=32, count=8)
    make_toy('datasets/gray', channels=1, count=8)
    return toy


def begin(*assignments, expected=0, use=('--config', 'tiny.py')):
    sets = [part for text in assignments for part in ('--set', text)]
    assert main(*use, *sets) == expected


def first_of(run):
    """(G, D, Gs) before the first step, from a run of 0 kimg."""
    return misc.load_pkl(f'results/{run}/network-final.pkl')


def images(Gs, latents=8):
    labels = Gs.input_shapes[1][1]
    z = np.random.RandomState(1).randn(4, latents)
    return Gs.run(z, np.eye(labels)[np.arange(4) % labels] if labels else None)


# ---------------------------------------------------------------- the first image

@pytest.mark.first(1, rest='exhaustive')
@pytest.mark.slow
@pytest.mark.parametrize('lod', [0.375, 0.0, 1.0])
def test_the_same_images_bit_for_bit(toys, capsys, lod):
    """Fully grown, during growth and during a transition: Gs equals the snapshot's and stays at its
    lod.
    """
    expected = snapshot(lod=lod)
    begin('train.init_from=network.pkl', 'train.total_kimg=0')
    G, _, Gs = first_of('000-tiny')
    assert Gs.lod == pytest.approx(lod, abs=1e-6)
    assert max_abs(images(Gs), images(expected)) <= (0 if lod % 1 == 0 else 1e-6)
    assert max_abs(images(G), images(expected)) > 0.1
    out = capsys.readouterr().out
    assert f'(16x16, 3 channels, no labels, lod {lod:.2f})' in out
    assert re.search(r'copied +G: 9 layers of 4x4 to 16x16; D: 10 layers of 4x4 to 16x16\n', out)
    assert 'fresh' not in out and 'cut to fit' not in out


@pytest.mark.first(1, rest='exhaustive')
@pytest.mark.slow
@pytest.mark.parametrize('lod', [0.25, 0.0])
def test_a_larger_resolution_begins_with_the_same_images(toys, capsys, lod):
    expected = snapshot(lod=lod)
    begin('train.init_from=network.pkl', 'train.total_kimg=0', 'dataset.tfrecord_dir=big')
    Gs = first_of('000-tiny')[2]
    assert Gs.lod == pytest.approx(lod + 1, abs=1e-6)
    larger = images(expected).repeat(2, axis=2).repeat(2, axis=3)
    assert max_abs(images(Gs), larger) <= 1e-6
    assert 'fresh        G: 32x32/Conv0, 32x32/Conv1, 32x32/ToRGB;' in capsys.readouterr().out


@pytest.mark.slow
def test_other_channels_labels_and_widths_train(toys, capsys):
    """Gray images, labels, a lower resolution, wider networks, half precision, two devices."""
    snapshot()
    begin('train.init_from=network.pkl', 'train.total_kimg=0.064', 'dataset.tfrecord_dir=gray',
          "dataset.max_label_size='full'", 'dataset.resolution=8', 'G.fmap_max=16',
          'D.fmap_max=16', 'G.fmap_base=64', 'D.fmap_base=64', 'num_gpus=2', 'G.dtype=bfloat16',
          'D.dtype=bfloat16', 'train.freeze_D=1')
    nets = first_of('000-tiny')
    assert all(np.isfinite(net.get_var(name)).all() for net in nets for name in net.vars)
    assert images(nets[2], 16).shape == (4, 1, 8, 8) and np.isfinite(images(nets[2], 16)).all()
    out = capsys.readouterr().out
    assert 'not used     G: 16x16/Conv0, 16x16/Conv1, 16x16/ToRGB;' in out
    assert '(colours, feature maps' not in out and 'latents' in out


@pytest.mark.first(1, rest='exhaustive')
@pytest.mark.slow
@pytest.mark.parametrize('source', ['theano-progressive8.pkl', 'run'])
def test_snapshots_of_other_programs_and_numbers_of_runs(toys, source):
    if source == 'run':
        begin('train.total_kimg=0')
        init_from = '0'
    else:
        shutil.copy(GOLDEN / source, 'theano.pkl')
        init_from = 'theano.pkl'
    before = len(glob.glob('results/*/'))
    begin(f'train.init_from={init_from}', 'train.total_kimg=0.032')
    assert np.isfinite(images(first_of(f'{before:03d}-tiny')[2])).all()


# ---------------------------------------------------------------- growth

def lods(resolution_log2=5, start_lod=None, count=40, **options):
    data = types.SimpleNamespace(resolution_log2=resolution_log2)
    options = dict(lod_training_kimg=2, lod_transition_kimg=4, **options)
    return [TrainingSchedule(n * 1000, data, start_lod=start_lod, **options).lod
            for n in range(count)]


@pytest.mark.parametrize('start_lod', [0.0, 1.0, 2.0, 2.75, 0.5])
def test_growth_goes_on_from_the_start(start_lod):
    """As in a run that started at 4x4, but counted from 0 kimg."""
    passed = 6 * (3 - int(np.ceil(start_lod))) + (2 + (-start_lod % 1) * 4 if start_lod % 1 else 0)
    assert lods(start_lod=start_lod, count=20) == lods()[int(passed):int(passed) + 20]
    assert lods(start_lod=start_lod)[0] == start_lod


def test_where_growth_starts():
    assert lods(start_lod=1.0, lod_initial_resolution=32)[0] == 0  # all layers at once
    assert lods(start_lod=1.0, lod_initial_resolution=8)[0] == 1
    assert lods(start_lod=3.0) == lods()
    still = dict(lod_training_kimg=0, lod_transition_kimg=0)
    assert TrainingSchedule(99, SET_32, start_lod=1.25, **still).lod == 1  # no transitions
    assert TrainingSchedule(9000, SET_32, start_lod=1.0, **still).lod == 1


@pytest.mark.parametrize('start_lod', [0.0, 1.0, 2.75])
def test_the_table_of_phases_is_the_schedule(start_lod):
    options = dict(lod_training_kimg=2, lod_transition_kimg=4)
    schedule = functools.partial(TrainingSchedule, training_set=SET_32, start_lod=start_lod,
                                 **options)
    found = phases.list_phases(schedule, options, 0.0, 30.0)
    assert found[0].start_kimg == 0 and found[-1].end_kimg == 30
    for phase in found:
        middle = schedule(int((phase.start_kimg + phase.end_kimg) * 500)).lod
        assert phase.is_fading == (middle % 1 != 0)
    full = phases.full_resolution_kimg(options, 5, start_lod)
    assert schedule(int(full * 1000)).lod == pytest.approx(0, abs=1e-9)
    assert not full or schedule(int(full * 1000) - 100).lod > 0


@pytest.mark.parametrize('snapshot_at, run_at, lod', [
    ((16, 0.0), 16, 0.0), ((16, 0.0), 64, 2.0), ((16, 1.5), 64, 3.5), ((16, 0.5), 8, 0.0),
    ((32, 2.0), 16, 1.0)])
def test_lods_in_the_numbers_of_the_run(snapshot_at, run_at, lod):
    donor = transfer.Donor('x.pkl', [], *snapshot_at, 'x')
    assert donor.start(run_at).lod == lod


@pytest.mark.slow
@pytest.mark.exhaustive
def test_dry_run_shows_the_start(toys, capsys):
    snapshot(lod=0.5)
    assert main('--config', 'tiny.py', '--dry-run', '--set', 'train.init_from=network.pkl', '--set',
                'dataset.tfrecord_dir=big', '--set', 'train.freeze_D=1') == 0
    out = capsys.readouterr().out
    assert re.search(r'0 - 0.032 +16x16 +1.48 - 1.02', out), out
    assert 'not trained  D: 16x16/FromRGB, 16x16/Conv0, 16x16/Conv1' in out
    assert "network.pkl; 1 of D's resolutions not trained" in out and not os.path.exists('results')


# ---------------------------------------------------------------- resuming

@pytest.mark.slow
def test_a_resumed_run_knows_its_start_and_does_without_the_snapshot(toys, capsys, monkeypatch):
    """A run stopped after a few steps continues to the same networks as one that was not stopped.
    """
    snapshot(lod=0.5)
    run = ['train.init_from=network.pkl', 'train.total_kimg=0.128', 'dataset.tfrecord_dir=big',
           'train.freeze_D=1', 'env.TF_DETERMINISTIC_OPS=1']
    begin(*run)
    original, left = TrainingSteps.run, [6]

    def stops(self, *arguments):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return original(self, *arguments)
    monkeypatch.setattr(TrainingSteps, 'run', stops)
    begin(*run, 'train.checkpoint_minutes=1e-9', expected=130)
    monkeypatch.setattr(TrainingSteps, 'run', original)
    os.unlink('network.pkl')
    capsys.readouterr()
    assert main('--resume', '1', '--set', 'train.init_from=other.pkl') == 1
    assert 'It only affects the start of a run' in capsys.readouterr().err
    assert main('--resume', '1') == 0
    assert 'Starting from' not in capsys.readouterr().out
    for once, twice in zip(first_of('000-tiny'), first_of('001-tiny')):
        assert all(np.array_equal(once.get_var(name), twice.get_var(name)) for name in once.vars)


def test_the_start_is_kept_with_the_run(in_tmp):
    start = Start(0.5, ('FromRGB_lod0/bias',))
    resuming.write_run('results/000-x', [], [], {}, start=start._asdict())
    run = resuming.find_run('0', 'results')
    options, devices = types.SimpleNamespace(init_from='x.pkl'), make_devices()
    assert transfer.kept_start(options, run, devices) is None  # nothing saved: it starts over
    (in_tmp / 'results/000-x/checkpoints/ckpt-1.index').touch()
    assert transfer.kept_start(options, run, devices) == start
    assert transfer.kept_start(types.SimpleNamespace(init_from=None), run, devices) == Start()


# ---------------------------------------------------------------- frozen layers

@pytest.mark.first(1, rest='exhaustive')
@pytest.mark.slow
@pytest.mark.parametrize('replicas', [2, 1])
def test_frozen_layers_do_not_move_and_the_others_do_as_before(replicas):
    """G's update does not depend on the frozen layers of D; frozen layers have no gradients."""
    frozen = frozenset(f'{layer}/{part}' for part in ('weight', 'bias')
                       for layer in ('FromRGB_lod0', '16x16/Conv0', '16x16/Conv1_down'))
    found, first = {}, {}
    for names in (frozenset(), frozen):
        steps = make_steps(make_devices(replicas), options=UpdateOptions(frozen=names), **GENTLE)
        before = weights(steps)
        train(steps, 0, 1, lrate=0.01)
        first[names] = weights(steps)
        train(steps, 0, 3, lrate=0.01)
        found[names] = weights(steps)
    for name in before:
        moved = max_abs(before[name], found[frozen][name]) > 0
        assert moved == (max_abs(before[name], found[frozenset()][name]) > 0
                         and name.removeprefix('D/') not in frozen), name
        if name.startswith('D/') and name.removeprefix('D/') not in frozen:
            assert max_abs(first[frozen][name], first[frozenset()][name]) <= 1e-6, name


def test_what_is_frozen():
    """Frozen are completely copied layers of the highest resolutions that the snapshot had reached.
    """
    D = tfutil.Network('D', 'networks.D_paper', **dict(OPTIONS, resolution=32))
    copied = tuple(name for name in D.vars if '32x32' not in name and 'lod0' not in name)
    sizes = {'16x16/Conv0', '16x16/Conv1_down', 'FromRGB_lod1'}

    def layers(start, count):
        return {name.rpartition('/')[0] for name in transfer.frozen_variables(D, start, count)}
    assert layers(Start(1.0, copied), 0) == set() == layers(Start(), 2)
    assert layers(Start(1.0, copied), 1) == sizes == layers(Start(1.5, copied), 1)
    assert layers(Start(1.0, copied), 2) == sizes | {'8x8/Conv0', '8x8/Conv1_down', 'FromRGB_lod2'}
    cut = tuple(name for name in copied if not name.startswith('16x16/Conv0'))
    assert layers(Start(1.0, cut), 1) == sizes - {'16x16/Conv0'}
    for start in (Start(1.0, copied), Start(2.0, copied), Start(3.0, copied)):
        most = 3 - int(start.lod)
        assert len(transfer.frozen_variables(D, start, most)) == 6 * most
        with pytest.raises(ConfigError,
                           match=f'freeze_D: expected at most .*: {most}'):
            transfer.frozen_variables(D, start, most + 1)


def test_layers_that_look_at_reals_first():
    D = tfutil.Network('D', 'networks.D_paper', **OPTIONS, mbdisc_kernels=4)
    assert transfer.needs_reals(D, Start())
    assert not transfer.needs_reals(D, Start(0.0, tuple(D.vars)))
    assert transfer.needs_reals(D, Start(0.0, ('4x4/Dense1/weight',)))


# ---------------------------------------------------------------- mistakes

@pytest.mark.parametrize('sets, texts', [
    (['train.init_from=1', 'train.resume_run_id=2'], ['init_from and train.resume_run_id']),
    (['train.init_from=1', 'train.resume_kimg=0.1'], ['init_from and train.resume_kimg']),
    (['train.freeze_D=2'], ['train.freeze_D: expected train.init_from',
                            'Received only train.freeze_D = 2.']),
    (['train.init_from=7'], ["Cannot locate result subdir for run 7"]),
    (['train.init_from=no.pkl'], ["no.pkl"]),
    (['train.init_from=tiny.py'], ['is not a pickle']),
    (['train.init_from=numbers.pkl'], ['three networks G, D, Gs']),
    (['train.init_from=network.pkl', 'train.freeze_D=3'],
     ['train.freeze_D: expected at most', ': 2, because training starts at 16x16. Received: 3']),
    (['train.init_from=dummies.pkl'], ['share no layer', 'dummies.pkl', 'G_paper and D_paper']),
], ids=lambda value: ' '.join(value)[:60])
def test_mistakes_are_one_paragraph_and_leave_nothing(toy, capsys, sets, texts):
    snapshot()
    misc.save_pkl((1, 2, 3), 'numbers.pkl')
    misc.save_pkl(tuple(tfutil.Network(name, 'legacy.dummy') for name in 'abc'), 'dummies.pkl')
    begin(*sets, expected=1)
    expect_error(capsys, 1, *texts)
    assert not os.path.exists('results')
