"""training/timetable.py: what stages cost, and how long is left; with times and networks made by
hand.
"""
import functools
import types

import numpy as np
import pytest

import tfutil
from pgan.reporting.progress import Progress
from pgan.reporting.timetable import Timetable, image_cost, network_cost
from pgan.training.phases import list_phases
from pgan.training.schedule import TrainingSchedule


def phases(total=10.0, **sched):
    """4x4 for 2 kimg, a fade of 3 kimg to 8x8, which then stays."""
    options = dict(lod_training_kimg=2, lod_transition_kimg=3, **sched)
    training_set = types.SimpleNamespace(resolution_log2=3)
    return list_phases(functools.partial(TrainingSchedule, training_set=training_set, **options),
                       options, 0.0, total)


def timetable(total=10.0):
    return Timetable(phases(total), lambda resolution: {4: 1.0, 8: 5.0}[resolution])


def test_cost_counted_by_hand():
    """10 latents, 6 maps at 4x4, 3 at 8x8; variables other than weights count with their sizes."""
    G = tfutil.Network('G', 'networks.G_paper', num_channels=3, resolution=8, fmap_base=12,
                       fmap_max=10)
    others = 1 + 6 + 6 + 3 + 3 + 3 + 3  # lod and biases
    block4 = 10 * 6 * 16 + 9 * 6 * 6 * 16
    # the fused layer: a 4x4 kernel at each of 4x4 places
    block8 = 16 * 6 * 3 * 16 + 9 * 3 * 3 * 64
    assert network_cost(G, 4) == others + block4 + 6 * 3 * 16
    assert network_cost(G, 8) == others + block4 + block8 + 3 * 3 * 64


@pytest.mark.parametrize('options, expected', [
    (dict(), [786032, 4661360, 9730160, 14854256]),
    (dict(fused_scale=False), [786032, 6135920, 14153840, 22227056]),
])
def test_costs_are_those_of_earlier_versions(options, expected):
    """Measured before networks described their layers; estimates of the time left follow them."""
    options = dict(options, num_channels=3, resolution=32, fmap_base=64, fmap_max=16)
    G, D = (tfutil.Network(name, f'networks.{name}_paper', **options) for name in 'GD')
    assert [image_cost(G, D, 1, resolution) for resolution in (4, 8, 16, 32)] == pytest.approx(
        expected, rel=1e-12)


def test_a_network_that_does_not_tell_costs_its_variables():
    net = types.SimpleNamespace(model=object(), vars={'dense/kernel': np.ones([3, 5]),
                                                      '8x8/Conv0/weight': np.ones([3, 3, 2, 2])})
    assert network_cost(net, 4) == network_cost(net, 8) == 15 + 36


def test_costs_of_the_stock_networks_grow_with_the_stage():
    options = dict(num_channels=3, resolution=32, fmap_base=64, fmap_max=16)
    G, D = (tfutil.Network(name, f'networks.{name}_paper', **options) for name in 'GD')
    costs = [image_cost(G, D, 1, resolution) for resolution in (4, 8, 16, 32)]
    assert costs == sorted(costs) and costs[-1] > 5 * costs[0]
    assert image_cost(G, D, 5, 32) < costs[-1]  # fewer G updates per image


def test_nothing_is_promised_before_anything_was_seen():
    assert timetable().left(0.0) == (None, None) and timetable().by_resolution() is None


def test_stages_not_seen_yet_are_judged_by_their_cost():
    table = timetable()
    table.add(4, False, 0.0, 0.5)
    table.add(4, False, 1.0, 0.5)
    assert table.sec_per_kimg(4, False) == 2.0 and table.sec_per_kimg(8, True) == 10.0
    assert table.left(1.0) == (2.0, 2.0 + 3 * 10 + 5 * 10)
    assert table.by_resolution() == {4: 2.0, 8: 10.0}


def test_what_is_seen_later_replaces_the_judgement():
    table = timetable()
    for stage, seconds in (((4, False), 1.0), ((8, True), 7.0)):
        table.add(*stage, 0.0, 0.5)
        table.add(*stage, seconds, 0.5)
    # the stable 8x8 is judged by its own fade, not by 4x4
    assert table.left(2.0) == (3 * 14, 3 * 14 + 5 * 14)
    assert table.left(9.0) == (14, 14) and table.left(10.0) == (0.0, 0.0)


def test_compiling_and_snapshots_come_on_top():
    """100 s to start a stage, two of which are to come; 6 s a tick, of which there are 9 kimg /
    160.
    """
    table = timetable()
    table.add(4, False, 100.0, 0.5)
    table.add(4, False, 1.0, 0.5)
    for seconds in (4.0, 8.0):
        table.add_maintenance(seconds)
    ticks = (1 / 160, 3 / 140, 5 / 140)
    assert table.left(1.0) == (pytest.approx(2 + 6 * ticks[0]),
                               pytest.approx(2 + 80 + 6 * sum(ticks) + 200))


def test_recent_rounds_count_more():
    table = timetable()
    table.add(4, False, 0.0, 0.1)
    for _ in range(200):
        table.add(4, False, 1.0, 0.1)
    for _ in range(200):
        table.add(4, False, 2.0, 0.1)
    assert table.sec_per_kimg(4, False) == pytest.approx(20, rel=0.02)


def test_a_trial_step_counts_until_training_is_seen():
    table = timetable()
    table.set_measured({8: 30.0})
    assert table.by_resolution() == {4: 6.0, 8: 30.0}
    table.add(8, False, 1.0, 0.1)
    table.add(8, False, 2.0, 0.1)
    assert table.sec_per_kimg(8, False) == pytest.approx(20, rel=1e-3)


def test_a_checkpoint_keeps_what_was_seen():
    table, other = timetable(), timetable()
    table.add(4, False, 1.0, 0.5)
    table.add(4, False, 1.0, 0.5)
    other.restore(table.state())
    assert other.left(1.0) == table.left(1.0)


def live(monkeypatch, texts):
    """A Progress whose live line is noted, on a clock of 1 second a look."""
    progress = Progress(total_kimg=10, clock=iter(range(10 ** 6)).__next__, timetable=timetable())
    monkeypatch.setattr(progress.bar, 'set_postfix_str', lambda text, refresh: texts.append(text))
    return progress


def test_the_live_line(monkeypatch):
    texts = []
    progress = live(monkeypatch, texts)
    sched = types.SimpleNamespace(lod=1.0, resolution=4)
    for nimg in (250, 500, 750, 1000):
        progress.update_bar(nimg, sched)
    progress.close()
    assert texts[0] == 'lod 1.00 (4x4), sec/kimg 4'
    # a second for 0.25 kimg: 1 kimg more of this stage, then 8 of five times the cost; and a second
    # for the first round of each stage
    assert texts[-1] == 'lod 1.00 (4x4), sec/kimg 4, left: stage 4s, run 2m 46s'
    assert progress.bar.n == 1.0


def test_snapshots_between_rounds_are_not_counted_as_training(monkeypatch):
    progress = live(monkeypatch, [])
    sched = types.SimpleNamespace(lod=1.0, resolution=4, minibatch=4)
    for nimg in (250, 500):
        progress.update_bar(nimg, sched)
    progress.tick(500, sched)
    for _ in range(1000):
        progress.clock()  # an evaluation of metrics
    progress.end_maintenance()
    progress.update_bar(750, sched)
    progress.close()
    assert progress.timetable.sec_per_kimg(4, False) == pytest.approx(4)


def test_a_checkpoint_of_an_earlier_version_has_no_stages(monkeypatch):
    progress = live(monkeypatch, [])
    state = progress.state()
    del state['timetable']
    progress.restore(state, 0)
    progress.close()
