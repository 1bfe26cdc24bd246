"""Overfitting measured on held-out images, and the augmentation controlled by it, in training."""
import os
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

import loss
import misc
from dataset import SyntheticDataset
from pgan.options import options_of
from pgan.training.overfitting import MOST, Overfitting
from pgan.training.step import TrainingSteps, UpdateOptions
from tests.support.networks import max_abs, moment
from tests.support.replica_inputs import GENTLE, Noise, make_steps, train, weights
from tests.support.toy_runs import expect_error, main
from tests.support.training_steps import make
from tfutil import Stage, randomness, summary
from tfutil.devices import make_devices

# ---------------------------------------------------------------- the controller by itself


def observed(watch, reals, held_out, fakes, times=1, images=1000):
    for _ in range(times):
        watch.observe(*map(tf.constant, (reals, held_out, fakes)), images=images)
    return summary.flush()


@pytest.mark.parametrize('reals, fakes', [(10.0, 0.0), (0.0, 1.0)], ids=['WGAN', 'LSGAN'])
def test_the_probability_rises_while_the_signal_is_above_the_target(reals, fakes):
    """Works whether reals score above fakes or below them."""
    overfitted, healthy = (reals + signal * (fakes - reals) for signal in (0.7, 0.3))
    watch = Overfitting(target=0.5, kimg=100)
    observed(watch, reals, overfitted, fakes, times=5)
    assert float(watch.probability()) == pytest.approx(0.05)
    observed(watch, reals, overfitted, fakes, times=200)
    assert float(watch.probability()) == pytest.approx(MOST)
    observed(watch, reals, healthy, fakes, times=50)  # the mean forgets the others
    assert 0.3 < float(watch.probability()) < 0.5
    observed(watch, reals, healthy, fakes, times=100)
    assert float(watch.probability()) == 0.0


def test_the_signal_is_0_if_held_out_images_score_like_reals_and_1_if_like_fakes():
    for held_out, signal in ((-5.0, 0.0), (-20.0, 1.0), (-12.5, 0.5)):
        watch = Overfitting(target=None, kimg=100)
        reported = observed(watch, -5.0, held_out, -20.0, times=3)
        assert reported['Overfitting/signal'] == pytest.approx(signal, abs=1e-6)
        assert reported['Overfitting/held_out_scores'] == pytest.approx(held_out)
        assert float(watch.probability()) == 0.0  # no target


def test_without_a_lead_over_fakes_nothing_is_infinite():
    watch = Overfitting(target=0.5, kimg=100)
    observed(watch, 1.0, 1.0, 1.0, times=3)
    assert np.isfinite(watch.state()).all()


# ---------------------------------------------------------------- in training steps

def steps_with(held_out=True, **options):
    held_out = Noise(16, 1, label_size=0) if held_out else None
    steps, _ = make(training_set=Noise(16, 1, label_size=0), **options)
    if held_out is not None:
        steps = TrainingSteps([steps.G, steps.D, steps.Gs], [steps.G_opt, steps.D_opt],
                              [steps.G_loss, steps.D_loss], steps.training_set, steps.options,
                              held_out=held_out)
    rnd = np.random.RandomState(1)
    for net in (steps.G, steps.D, steps.Gs):
        for name in net.trainables:
            net.set_var(name, rnd.randn(*net.vars[name].shape))
    return steps


def run(steps, count, lod=1.0, minibatch=8):
    summary.flush()
    for _ in range(count):
        steps.step('DG', moment(lod, minibatch, 0.001))
    return summary.flush()


@pytest.mark.slow
def test_watching_changes_nothing_in_training(monkeypatch):
    """Weights are bitwise equal to training without held-out images."""
    monkeypatch.setattr('pgan.training.step.STEPS_BETWEEN', 2)
    alone, watched = steps_with(held_out=False), steps_with()
    before = {name: watched.D.get_var(name) for name in watched.D.trainables}
    assert not [tag for tag in run(alone, 6) if tag.startswith('Overfitting')]
    reported = run(watched, 6)
    assert {'Overfitting/real_scores', 'Overfitting/held_out_scores', 'Overfitting/fake_scores',
            'Overfitting/signal'} <= set(reported)
    for ours, theirs in ((alone.G, watched.G), (alone.D, watched.D), (alone.Gs, watched.Gs)):
        for name in ours.vars:
            np.testing.assert_array_equal(ours.get_var(name), theirs.get_var(name))
    assert any((before[name] != watched.D.get_var(name)).any() for name in before)


@pytest.mark.slow
@pytest.mark.parametrize('structure', [None, 'linear', 'recursive'])
@pytest.mark.parametrize('lod', [0.0, 0.5, 2.0])
@pytest.mark.parametrize('method', ['diffaugment', 'ada'])
@pytest.mark.first(1, rest='exhaustive')
def test_augmented_steps_at_every_stage(method, lod, structure, monkeypatch):
    """Both networks learn, and see other images than without augmentation."""
    monkeypatch.setattr('pgan.training.step.STEPS_BETWEEN', 1)
    plain = steps_with(structure=structure)
    steps = steps_with(structure=structure, augment=method, augment_kimg=0.001)
    steps.overfitting.restore([0.5, 1.0, 1.0])
    reported, unaugmented = run(steps, 3, lod), run(plain, 3, lod)
    assert all(map(np.isfinite, reported.values()))
    assert reported['Loss/real_scores'] != unaugmented['Loss/real_scores']
    assert ('Augment/probability' in reported) == (method == 'ada')
    for net, other in ((steps.G, plain.G), (steps.D, plain.D)):
        assert any((net.get_var(name) != other.get_var(name)).any() for name in net.trainables)


@pytest.mark.slow
@pytest.mark.parametrize('method', ['diffaugment', 'ada'])
def test_augmented_steps_are_compiled_once(method, monkeypatch):
    """All draws have keys from the start, because retracing would take seconds at each stage."""
    compiled, compile_step = [], TrainingSteps._compile
    monkeypatch.setattr('pgan.training.step.STEPS_BETWEEN', 1)

    def note(steps, kind, *others):
        compiled.append(kind)
        return compile_step(steps, kind, *others)
    monkeypatch.setattr(TrainingSteps, '_compile', note)
    run(steps_with(augment=method, mirror_augment=True), 2)
    assert sorted(compiled) == ['DG', 'compare']


@pytest.mark.slow
def test_the_probability_is_that_of_the_moment(monkeypatch):
    """The probability is not frozen at compile time."""
    unchanged, changed = steps_with(augment='ada'), steps_with(augment='ada')
    for steps in (unchanged, changed):
        run(steps, 1)
    changed.overfitting.restore([0.8, 0.0, 0.0])
    assert run(unchanged, 1)['Loss/real_scores'] != run(changed, 1)['Loss/real_scores']


@pytest.mark.first(1, rest='exhaustive')
@pytest.mark.slow
@pytest.mark.parametrize('loss_name', ['wgan', 'lsgan'])
@pytest.mark.parametrize('options', [dict(), dict(joint=True)], ids=str)
def test_losses_show_D_augmented_images_only(loss_name, options, monkeypatch):
    """Every image that D sees, including the mixed ones of the gradient penalty, has passed through
    `augment`.
    """
    class Marks:
        def __init__(self, *args):
            pass

        def __call__(self, *minibatches):
            return [tf.cast(images, tf.float32) * 0 + 7 for images in minibatches]
    monkeypatch.setattr('pgan.training.updates.Augmentation', Marks)
    D_loss = loss.D_wgangp_acgan if loss_name == 'wgan' else loss.D_lsgan_acgan
    G_loss = loss.G_wgan_acgan if loss_name == 'wgan' else loss.G_lsgan_acgan
    steps = steps_with(False, G_loss=G_loss, D_loss=D_loss, augment='diffaugment', **options)
    D = steps.views(moment_stage(steps))[1]
    sevens = D.get_output_for(tf.fill([8, 1, 8, 8], 7.0), is_training=True)[0].numpy()
    summary.flush()
    steps.step(steps.step_kinds[0], moment(1.0, 8, 0.001))
    reported = summary.flush()
    names = ['real', 'fake', 'mixed'] if loss_name == 'wgan' else ['real', 'fake']
    for name in names:
        assert reported[f'Loss/{name}_scores'] == pytest.approx(sevens.mean(), rel=1e-4), name


def moment_stage(steps):
    return Stage.of(1.0, steps.training_set.shape[1])


@pytest.mark.slow
def test_replicas_augment_with_draws_of_their_own_and_agree_on_the_probability(monkeypatch):
    monkeypatch.setattr('pgan.training.step.STEPS_BETWEEN', 1)
    devices = make_devices(2)
    options = UpdateOptions(augment='ada', augment_kimg=0.05)
    steps = make_steps(devices, Noise(16, 1, label_size=3), options=options, **GENTLE)
    steps = TrainingSteps([steps.G, steps.D, steps.Gs], [steps.G_opt, steps.D_opt],
                          [steps.G_loss, steps.D_loss], steps.training_set, steps.options, devices,
                          held_out=Noise(16, 1, label_size=3))
    steps.overfitting.restore([0.4, 1.0, 1.0])
    reported = train(steps, 1.0, 4)
    weights(steps)  # raises unless they are equal on all devices
    copies = [copy.numpy() for copy in steps.overfitting.values.values]
    np.testing.assert_array_equal(copies[0], copies[1])
    assert copies[0][0] != np.float32(0.4) and 'Overfitting/signal' in reported


@pytest.mark.first(1, rest='exhaustive')
@pytest.mark.slow
@pytest.mark.parametrize('options', [dict(dtype='float16'), dict(dtype='bfloat16'), dict(xla=True)],
                         ids=str)
def test_augmentation_in_other_precisions_and_compiled_by_xla(options):
    options = dict(options)
    dtype = options.pop('dtype', 'float32')
    for method in ('diffaugment', 'ada'):
        steps = make_steps(training_set=Noise(16, 1, label_size=3), dtype=dtype,
                           options=UpdateOptions(augment=method, **options), **GENTLE)
        steps.overfitting.restore([0.6, 0.0, 0.0])
        before = weights(steps)
        reported = train(steps, 0.5, 2)
        assert all(map(np.isfinite, reported.values()))
        assert max(max_abs(before[name], value) for name, value in weights(steps).items()) > 0


# ---------------------------------------------------------------- nothing leaks

class Letters(SyntheticDataset):
    """An L at a fixed place on a grey background, thick or thin, with a little noise."""

    def __init__(self, **kwargs):
        super().__init__(8, 1, **kwargs)

    def _read(self, position, count, lod):
        rnd = np.random.RandomState(position)
        images = np.full([count, 1, 8, 8], 90.0)
        images[:, :, 1:6, 1:3] = images[:, :, 5:7, 1:6] = 230
        images += rnd.randint(-8, 9, images.shape) + rnd.choice([-15, 15], [count, 1, 1, 1])
        return images.astype(np.uint8), np.zeros([count, 0], np.float32)


def share_of_augmented_looks(images):
    """Fraction of images that are more similar to an L moved, turned, mirrored or inverted."""
    reals = Letters().get_minibatch_np(1)[0][0, 0].astype(float)
    looks = [reals]
    for turned in (np.rot90(reals, k) for k in range(4)):
        for mirrored in (turned, turned[:, ::-1]):
            looks += [np.roll(mirrored, (dy, dx), (0, 1)) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    looks += [255 - look for look in looks[1:]]
    different = [look for look in looks if abs(look - reals).mean() > 15]
    distance = lambda image, look: np.square(image - look).mean()
    return np.mean([min(distance(image, look) for look in different) < distance(image, reals)
                    for image in images])


def trained_letters(method, augment_fakes=True):
    def only_reals(loss_function):
        def D_loss(augment, reals, **others):
            return loss_function(reals=augment(reals)[0], **others)
        return D_loss
    D_loss = loss.D_wgangp_acgan
    G_loss = loss.G_wgan_acgan
    if not augment_fakes:
        D_loss, G_loss = only_reals(D_loss), lambda augment, **others: loss.G_wgan_acgan(**others)
    keras.utils.set_random_seed(3)  # the one of four that needs the most steps
    steps, _ = make(training_set=Letters(), resolution=8, G_loss=G_loss, D_loss=D_loss,
                    augment=method, G_smoothing=0.98)
    for number in range(1000):
        # Raised slowly: a G that has never seen an upright L may settle on any other orientation.
        steps.overfitting.restore([number / 4000, 0.0, 0.0])
        steps.step('DG', moment(0.0, 16, 0.003, 0.003))
    latents = np.random.RandomState(0).randn(200, *steps.Gs.input_shape[1:]).astype('f')
    images = steps.Gs.run(latents, np.zeros([200, 0], 'f'))
    return np.clip(images[:, 0] * 127.5 + 127.5, 0, 255)


@pytest.mark.first(1, rest='exhaustive')
@pytest.mark.slow
@pytest.mark.parametrize('method', ['ada', 'diffaugment'])
def test_augmented_looks_do_not_leak_into_Gs(method):
    """Of 200 images by a G trained on Ls at a fixed place, at most 2 % look moved, turned or
    inverted.
    """
    assert share_of_augmented_looks(trained_letters(method)) <= 0.02


@pytest.mark.slow
@pytest.mark.exhaustive
def test_leaks_would_be_seen():
    """If only reals were augmented, G would imitate the augmentation."""
    assert share_of_augmented_looks(trained_letters('diffaugment', augment_fakes=False)) > 0.2


# ---------------------------------------------------------------- whole runs

ADA = ('--config', 'tiny.py', '--set', 'dataset.resolution=8', '--set', 'train.total_kimg=0.25',
       '--set', 'train.augment=ada', '--set', 'train.augment_kimg=0.5', '--set',
       'dataset.validation=0.3')


@pytest.mark.slow
def test_a_run_tells_what_it_holds_out_and_the_probability(toy, capsys, monkeypatch):
    monkeypatch.setattr('pgan.training.step.STEPS_BETWEEN', 2)
    monkeypatch.setattr('pgan.training.updates.STEPS_BETWEEN', 2)
    assert main(*ADA) == 0
    out = capsys.readouterr().out
    assert 'Held out' in out and 'ada, overfitting signal kept at 0.5' in out
    ticks = re.findall(r'^tick .* maintenance \d+\.\d augment (\d\.\d{3})$', out, re.MULTILINE)
    assert ticks and len(ticks) == len(re.findall('^tick ', out, re.MULTILINE))
    page = open('results/000-tiny/report.html').read()
    for tag in ('Augment/probability', 'Overfitting/held_out_scores', 'Overfitting/signal'):
        assert tag.split('/')[1] in page, tag
    G, D, Gs = misc.load_pkl(os.path.join('results', '000-tiny', 'network-final.pkl'))
    assert D.input_shape[1:] == [3, 8, 8]


@pytest.mark.parametrize('arguments, words', [
    (['train.augment=ada'], ['dataset.validation is 0', '--set dataset.validation=0.1']),
    (['train.augment=adaptive'], ["'diffaugment', 'ada'"]),
    (['train.augment=ada', 'dataset.validation=1000000'], ['holds out 1e+06', 'share between']),
    (['dataset.validation=0.001'], ['holds out 0', 'at least 1']),
    (['dataset.validation=2.5'], ['holds out 2.5', 'whole number']),
    (['dataset.validation=-1'], ['dataset.validation', 'at least 0'])])
def test_what_cannot_be_held_out_or_steered_is_said(arguments, words, toy, capsys):
    sets = [word for argument in arguments for word in ('--set', argument)]
    expect_error(capsys, main('--config', 'tiny.py', *sets), *words)


def test_every_stock_loss_can_be_augmented_and_others_are_refused(toy, capsys):
    for function in (loss.G_wgan_acgan, loss.D_wgangp_acgan, loss.G_lsgan_acgan,
                     loss.D_lsgan_acgan):
        assert options_of(function)['augment'].is_supplied
    with open('own_loss.py', 'w') as file:
        file.write('import loss\n\n\ndef D_loss(G, D, opt, training_set, minibatch_size, reals, '
                   'labels):\n    return loss.D_wgangp_acgan(G, D, opt, training_set, '
                   'minibatch_size, reals, labels)\n')
    code = main('--config', 'tiny.py', '--set', 'train.augment=diffaugment', '--set',
                'D_loss.func=own_loss.D_loss')
    expect_error(capsys, code, "D_loss.func = 'own_loss.D_loss' takes no argument `augment`")


def test_draws_of_comparisons_are_those_of_no_update():
    used = {randomness.key_table(3, step, 1, 2).tobytes() for step in range(-40, 40)}
    assert len(used) == 80
