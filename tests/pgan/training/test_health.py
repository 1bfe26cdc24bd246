"""training/health.py: each sign of a failed run is reported once, with the tick."""
import numpy as np
import pytest

import loss
import tfutil
from pgan.training.health import HealthWatch, TrainingError
from tests.support.networks import moment
from tests.support.training_steps import make
from tfutil import summary


@pytest.fixture
def watch():
    summary.flush()
    yield HealthWatch(
        [tfutil.Optimizer('TrainG'),
         tfutil.Optimizer('TrainD', use_loss_scaling=True)])
    summary.flush()


def tick(watch, number, **means):
    """One tick with these means; '__' in a tag's name stands for '/'. Scores are healthy by
    default.
    """
    for tag, mean in {
            'Loss__mixed_norms': 1.0, 'Loss__real_scores': 2.0, 'Loss__fake_scores': -2.0, **means
    }.items():
        summary.add(tag.replace('__', '/'), mean * 10, 10)
    watch.tick(number)
    summary.flush()


def test_healthy_runs_are_not_talked_about(watch, capsys):
    tick(watch, 1, _finite_losses__TrainG=1.0, _finite_losses__TrainD=0.95)
    tick(watch, 2, Loss__mixed_norms=0.001)  # flat, but D still separates reals and fakes
    tick(watch, 3, Loss__fake_scores=2.0)  # no difference, but not flat: G is as good as the reals
    watch.tick(4)  # a loss that reports nothing
    assert capsys.readouterr().out == ''


def test_losses_that_are_not_finite_are_told_once_with_the_tick(watch, capsys):
    tick(watch, 6, _finite_losses__TrainD=0.6)
    tick(watch, 7, _finite_losses__TrainD=0.25)
    tick(watch, 8, _finite_losses__TrainD=0.0)
    out = capsys.readouterr().out
    assert out.count('Warning') == 1 and ('in tick 7, 75% of the losses that TrainD minimises were '
                                          'not finite') in out
    tick(watch, 9, _finite_losses__TrainG=0.0)
    assert 'in tick 9, 100% of the losses that TrainG' in capsys.readouterr().out


def test_a_collapsed_discriminator_is_told_once_with_the_tick(watch, capsys):
    for number in (4, 5):
        tick(watch, number, Loss__mixed_norms=0.001, Loss__real_scores=3.0, Loss__fake_scores=3.0)
    out = capsys.readouterr().out
    assert out.count('Warning') == 1 and ('in tick 4, the discriminator gave reals and fakes the '
                                          'same score (3, 3)') in out


def test_what_was_told_is_kept_in_checkpoints(watch, capsys):
    tick(watch, 4, _finite_losses__TrainD=0.0, TrainG__overflow_frequency=1.0)
    again = HealthWatch([tfutil.Optimizer('TrainG'), tfutil.Optimizer('TrainD')])
    again.restore(watch.state())
    capsys.readouterr()
    tick(again, 5, _finite_losses__TrainD=0.0, TrainG__overflow_frequency=1.0)
    assert 'losses' not in capsys.readouterr().out
    with pytest.raises(TrainingError, match='no update for 3 ticks'):
        tick(again, 6, TrainG__overflow_frequency=1.0)


def train(steps, training_set, rounds=2):
    for _ in range(rounds):
        steps.step('D', moment(1, 8, 1e-20))
        steps.step('G', moment(1, 8, 1e-20))


@pytest.mark.slow
def test_a_real_discriminator_that_collapsed(watch, capsys):
    """Zero the weights of its last layer, so that every image gets the same score."""
    steps, training_set = make()
    steps.D.set_var('4x4/Dense1/weight', np.zeros([8, 1], np.float32))
    train(steps, training_set)
    watch.tick(1)
    assert 'has collapsed' in capsys.readouterr().out
    assert all(not tag.startswith('_') or 'finite' in tag for tag in summary.state())


@pytest.mark.slow
def test_a_real_loss_that_is_not_finite(watch, capsys):
    def broken(**arguments):
        return loss.D_wgangp_acgan(**arguments) * np.float32(np.inf)
    steps, training_set = make(D_loss=broken)
    train(steps, training_set)
    watch.tick(1)
    out = capsys.readouterr().out
    assert '100% of the losses that TrainD minimises' in out and 'TrainG minimises' not in out
