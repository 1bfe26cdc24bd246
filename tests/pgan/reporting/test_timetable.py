"""pgan/reporting/timetable.py: costs of stages and time left, with synthetic times and networks."""
import functools
import types

import numpy as np
import pytest

import tfutil
from pgan.reporting.progress import Progress
from pgan.reporting.timetable import Timetable, image_cost, network_cost, rough_time
from pgan.training.phases import list_phases
from pgan.training.schedule import TrainingSchedule


def phases(total=10.0, **sched):
    """4x4 for 2 kimg, a transition of 3 kimg to 8x8, then 8x8."""
    options = dict(lod_training_kimg=2, lod_transition_kimg=3, **sched)
    training_set = types.SimpleNamespace(resolution_log2=3)
    return list_phases(functools.partial(TrainingSchedule, training_set=training_set, **options),
                       options, 0.0, total)


def timetable(total=10.0):
    return Timetable(phases(total), lambda resolution: {4: 1.0, 8: 5.0}[resolution])


def test_cost_counted_by_hand():
    """10 latents, 6 fmaps at 4x4, 3 at 8x8; variables other than weights count with their sizes."""
    G = tfutil.Network('G', 'networks.G_paper', num_channels=3, resolution=8, fmap_base=12,
                       fmap_max=10)
    others = 1 + 6 + 6 + 3 + 3 + 3 + 3  # lod and biases
    block4 = 10 * 6 * 16 + 9 * 6 * 6 * 16
    # the fused layer: a 4x4 kernel at each of 4x4 positions
    block8 = 16 * 6 * 3 * 16 + 9 * 3 * 3 * 64
    assert network_cost(G, 4) == others + block4 + 6 * 3 * 16
    assert network_cost(G, 8) == others + block4 + block8 + 3 * 3 * 64


@pytest.mark.parametrize('options, expected', [
    (dict(), [786032, 4661360, 9730160, 14854256]),
    (dict(fused_scale=False), [786032, 6135920, 14153840, 22227056]),
])
def test_costs_are_those_of_earlier_versions(options, expected):
    """Values from before networks described their layers; estimates of the time left depend on
    them.
    """
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
    assert timetable().left(0.0) == (None, None) and timetable().expected(0.0) is None


def test_stages_not_seen_yet_are_judged_by_their_cost():
    table = timetable()
    table.add(4, False, 0.0, 0.5)
    table.add(4, False, 1.0, 0.5)
    assert table.sec_per_kimg(4, False) == 2.0 and table.sec_per_kimg(8, True) == 10.0
    assert table.left(1.0) == (2.0, 2.0 + 3 * 10 + 5 * 10)
    assert [stage.sec_per_kimg for stage in table.expected(1.0)] == [2.0, 10.0, 10.0]


def test_what_is_seen_later_replaces_the_judgement():
    table = timetable()
    for stage, seconds in (((4, False), 1.0), ((8, True), 7.0)):
        table.add(*stage, 0.0, 0.5)
        table.add(*stage, seconds, 0.5)
    # The stable 8x8 stage is extrapolated from its own transition, not from 4x4.
    assert table.left(2.0) == (3 * 14, 3 * 14 + 5 * 14)
    assert table.left(9.0) == (14, 14) and table.left(10.0) == (0.0, 0.0)


def test_compiling_and_snapshots_come_on_top():
    """Starting the stage of one block takes 101 s, of which 1 s is training; so 200 s for each of
    the two stages of two blocks. Saving takes 6 s per tick; there are 9 kimg
    160 ticks.
    """
    table = timetable()
    table.add(4, False, 101.0, 0.5)
    table.add(4, False, 1.0, 0.5)
    for tick, seconds in ((1, 4.0), (2, 8.0)):
        table.add_maintenance(tick, seconds)
    table._saving['networks'] = type(table._saving['networks'])()
    table.add_saving(other=6.0)
    ticks = (1 / 160, 3 / 140, 5 / 140)
    assert table.left(1.0) == (pytest.approx(2 + 6 * ticks[0]),
                               pytest.approx(2 + 80 + 6 * sum(ticks) + 400))


def test_what_a_run_of_known_times_takes_was_foretold():
    """On a simulated machine, the times of the dry run, the overview and the live line are within
    10 % of the true time at each moment.
    """
    training, compiling = {4: 2.0, 8: 9.0}, {(4, False): 10.0, (8, True): 20.0, (8, False): 20.0}
    run_phases = phases(total=10, tick_kimg_base=0.5, tick_kimg_dict={})
    table = Timetable(run_phases, lambda resolution: {4: 1.0, 8: 5.0}[resolution], 1, 4)
    table.add_trial(8, True, training[8], compiling[8, True], is_kept=True)
    table.add_saving(pictures=1.0, new_stage=2.0)
    table.add_saving(networks=3.0)
    told, taken, nimg, picture_of = [(0.0, table.left(0.0)[1])], 0.0, 0, None
    for number in range(1, 21):  # ticks of 0.5 kimg
        for _ in range(5):
            phase = next(phase for phase in run_phases if nimg < phase.end_kimg * 1000)
            stage = phase.last.resolution, phase.is_fading
            is_first = stage != table._last and stage != (8, True)
            seconds = training[stage[0]] * 0.1 + compiling[stage] * is_first
            table.add(*stage, seconds, 0.1)
            taken, nimg = taken + seconds, nimg + 100
            told.append((taken, table.left(nimg / 1000)[1]))
        saving = 1.0 + 2.0 * (stage != picture_of) + 3.0 * (number % 4 == 0)
        picture_of = stage
        table.add_maintenance(number, saving)
        taken += saving
    assert taken == pytest.approx(4 + 72 + 30 + 20 + 6 + 15)
    # The final snapshot follows the last tick.
    assert all(abs(before + left - taken) < 0.1 * taken for before, left in told), told


def test_the_trial_step_is_not_compiled_again():
    table = timetable()
    table.add_trial(8, True, 10.0, 50.0, is_kept=True)
    compiling = [stage.compiling for stage in table.expected(0.0)]
    assert compiling == [25.0, 0.0, 50.0]  # a stage of one block; that of the trial; a similar one
    table.pay_for_trials()  # A dry run estimates a run that has yet to compile.
    assert [stage.compiling for stage in table.expected(0.0)] == [25.0, 50.0, 50.0]


def test_a_resumed_run_compiles_its_stage_again():
    table, other = timetable(), timetable()
    for seconds in (21.0, 1.0):
        table.add(4, False, seconds, 0.5)
    assert table.expected(1.0)[0].compiling == 0
    other.restore(table.state())
    assert other.expected(1.0)[0].compiling == 20
    assert [stage.phase.end_kimg for stage in other.expected(6.0)] == [10.0]


@pytest.mark.parametrize('seconds, text', [(5, '5s'), (65, '1m 05s'), (7325, '2h 02m'),
                                           (999999, '11d 13h')])
def test_rough_times(seconds, text):
    assert rough_time(seconds) == text


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
    table.add_trial(8, False, 30.0, 0.0, is_kept=True)
    assert [stage.sec_per_kimg for stage in table.expected(0.0)] == [6.0, 30.0, 30.0]
    assert table.speed(8, False) is None
    table.add(8, False, 1.0, 0.1)
    table.add(8, False, 2.0, 0.1)
    assert table.sec_per_kimg(8, False) == pytest.approx(20, rel=1e-3)
    assert table.speed(8, False) == table.sec_per_kimg(8, False)


def test_a_checkpoint_keeps_what_was_seen():
    table, other = timetable(), timetable()
    table.add(4, False, 1.0, 0.5)
    table.add(4, False, 1.0, 0.5)
    table.add_maintenance(1, 5.0)
    other.restore(table.state())
    for kimg in (2.0, 5.0):  # at the start of a stage
        assert other.left(kimg) == table.left(kimg)
    other.restore(dict(seen=[], first_rounds=[1.0, 1], maintenance=[1.0, 1]))  # older versions


def live():
    """Progress on a clock that advances by 1 second per call."""
    return Progress(total_kimg=10, clock=iter(range(10 ** 6)).__next__, timetable=timetable())


def test_the_live_line():
    progress, texts = live(), []
    sched = types.SimpleNamespace(lod=1.0, resolution=4)
    for nimg in (250, 500, 750, 1000):
        progress.update_bar(nimg, sched)
        texts.append(progress.live_lines(nimg, sched)[0].partition('| ')[2])
    progress.close()
    kimg = 'kimg {n:.1f}/{total:.1f}, lod 1.00 (4x4)'
    assert texts[0] == kimg
    # 1 second per 0.25 kimg: 1 kimg left in this stage, then 8 kimg of five times the cost
    assert texts[-1] == kimg + ', sec/kimg 4, left: stage 4s, run 2m 44s'


def test_speed_after_a_new_stage_is_without_compiling():
    progress = live()
    for size, lod, minutes in ((4, 1.0, 0), (4, 1.0, 0), (8, 0.5, 10), (8, 0.5, 0)):
        for _ in range(60 * minutes):
            progress.clock()
        sched = types.SimpleNamespace(lod=lod, resolution=size)
        progress.update_bar(progress.round_start[1] + 250 if progress.round_start else 250, sched)
        full = progress.live_lines(1000, sched)[0]
        assert 'sec/kimg' not in full or 'sec/kimg 4,' in full
    assert 'sec/kimg 4,' in full
    progress.close()


def test_snapshots_between_rounds_are_not_counted_as_training():
    progress = live()
    sched = types.SimpleNamespace(lod=1.0, resolution=4, minibatch=4)
    for nimg in (250, 500):
        progress.update_bar(nimg, sched)
    progress.tick(500, sched)
    for _ in range(1000):
        progress.clock()  # evaluation of metrics
    progress.end_maintenance()
    progress.update_bar(750, sched)
    progress.close()
    assert progress.timetable.sec_per_kimg(4, False) == pytest.approx(4)


def test_a_checkpoint_of_an_earlier_version_has_no_stages():
    progress = live()
    state = progress.state()
    del state['timetable']
    progress.restore(state, 0)
    progress.close()
