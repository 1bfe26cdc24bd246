"""training/step.py: what an update changes, and what it leaves unchanged."""
import pickle
import sys

import numpy as np
import pytest
import tensorflow as tf

import dataset
import loss
import networks
import tfutil
from pgan.errors import ConfigError
from pgan.nn import fused_convolutions
from pgan.nn.layers import Dense, Equalized
from pgan.training.reals import process_reals
from pgan.training.step import TrainingSteps
from tests.support.networks import max_abs, moment
from tests.support.training_steps import make, moved, set_random_weights, values
from tfutil import Stage, randomness


@pytest.mark.slow
@pytest.mark.parametrize('lod, layers', [
    (2, {'4x4', 'RGB_lod2'}),
    pytest.param(1.5, {'4x4', '8x8', 'RGB_lod2', 'RGB_lod1'}, marks=pytest.mark.slow),
    pytest.param(1, {'4x4', '8x8', 'RGB_lod1'}, marks=pytest.mark.slow),
    pytest.param(0, {'4x4', '8x8', '16x16', 'RGB_lod0'}, marks=pytest.mark.slow)])
def test_a_step_moves_the_layers_of_its_stage_and_no_others(lod, layers):
    steps, training_set = make()
    before_G, before_D, before_Gs = values(steps.G), values(steps.D), values(steps.Gs)
    steps.step('D', moment(lod, 8, 0.01))
    assert not moved(before_G, steps.G)
    assert {name.split('/')[0].removeprefix('From') for name in moved(before_D, steps.D)} == layers
    after_D = values(steps.D)
    steps.step('G', moment(lod, 8, 0.01))
    assert not moved(after_D, steps.D)
    assert {name.split('/')[0].removeprefix('To') for name in moved(before_G, steps.G)} == layers
    assert not moved(before_Gs, steps.Gs)  # Gs follows at the next D update
    steps.step('D', moment(lod, 8, 0.01))
    for name, old in before_Gs.items():
        expected = steps.G.get_var(name) + (old - steps.G.get_var(name)) * np.float32(0.9)
        assert max_abs(steps.Gs.get_var(name), expected) <= 1e-6, name
    assert steps.Gs.lod == lod


@pytest.mark.slow
def test_Gs_goes_on_following_layers_of_earlier_stages():
    steps, training_set = make()
    for lod in (2, 0):
        steps.step('D', moment(lod, 8, 0.01))
        steps.step('G', moment(lod, 8, 0.01))
    name = 'ToRGB_lod2/weight'
    gap = np.abs(steps.G.get_var(name) - steps.Gs.get_var(name)).max()
    steps.step('D', moment(0, 8, 0.01))
    assert 0 < np.abs(steps.G.get_var(name) - steps.Gs.get_var(name)).max() <= 0.91 * gap


@pytest.mark.slow
@pytest.mark.parametrize('lod', [1.5, 0])
def test_linear_networks_train_to_the_same_weights(lod):
    """Compare evaluating everything at full resolution with the stage alone, after one update of
    each network.

    An epsilon far above the gradients makes Adam's update proportional to the gradient, so that its
    magnitude is tested: within 1e-3 of the largest of each variable, which is float32 rounding
    through two orders of differentiation.
    """
    results = []
    for structure in ('linear', None):
        steps, training_set = make(structure, epsilon=1e6)
        set_random_weights(steps)
        before = values(steps.G), values(steps.D)
        steps.step('D', moment(lod, 8, 1e6))
        steps.step('G', moment(lod, 8, 1e6))
        results.append([{name: net.get_var(name) - old[name]
                         for name in old} for old, net in zip(before, (steps.G, steps.D))])
    for linear, staged in zip(*results):
        for name in linear:
            assert max_abs(linear[name],
                           staged[name]) <= 1e-3 * np.abs(linear[name]).max() + 2e-6, name


def after_20_rounds(**options):
    """Weights of G, D and Gs before and after 20 rounds of updates."""
    steps, _ = make(training_set=Noise(16, 1, label_size=3), epsilon=1.0, **options)
    set_random_weights(steps)
    steps.Gs.copy_vars_from(steps.G)
    before = [values(net) for net in (steps.G, steps.D, steps.Gs)]
    for _ in range(20):
        steps.step('DG', moment(0.5, 8, 0.1))
    return before, [values(net) for net in (steps.G, steps.D, steps.Gs)]


@pytest.fixture(scope='module')
def plain_rounds():
    """`after_20_rounds` without options."""
    return after_20_rounds()


def a_kernel_for_each_evaluation(self, dtype):
    return tf.cast(self.make_kernel(self.weight), dtype)


BOX = fused_convolutions, 'kernels_hold_the_box', lambda: True


@pytest.mark.first(3, rest='exhaustive')
@pytest.mark.slow
@pytest.mark.parametrize(
    'options, patch', [({}, BOX),
                       ({}, (Equalized, 'scaled_kernel', a_kernel_for_each_evaluation)),
                       ({}, (networks, 'leaky_relu', lambda x: tf.nn.leaky_relu(x, alpha=0.2))),
                       (dict(parts=2), ()),
                       (dict(fuse=True), BOX)],
    ids=[
        'kernels that hold the box', 'a kernel for each evaluation', "TensorFlow's leaky ReLU",
        'minibatches in two parts', 'fused operations, kernels that hold the box'
    ])
def test_what_makes_steps_fast_leaves_their_numbers_alone(options, patch, plain_rounds,
                                                          monkeypatch):
    """Weights after 20 rounds of updates, up to float32 rounding: 1e-5 of the change of a variable,
    and two bits of its largest value.

    Adam's epsilon is large, as in the test above: otherwise gradients that are pure rounding noise
    move a weight as far as others.
    """
    if patch:
        monkeypatch.setattr(*patch)
    before, received = after_20_rounds(**options)
    for old, fast, slow in zip(before, received, plain_rounds[1], strict=True):
        for name in old:
            way = np.abs(slow[name] - old[name]).max()
            assert max_abs(fast[name],
                           slow[name]) <= 1e-5 * way + 4e-7 * np.abs(slow[name]).max(), name


@pytest.mark.first(1, rest='exhaustive')
@pytest.mark.slow
@pytest.mark.parametrize('parts', [1, 2])
def test_both_updates_in_one_step_are_one_after_the_other(parts):
    """Variables and statistics are bitwise equal to those of two steps, with different rates for D
    and G, through two stages.
    """
    results = []
    for together in (False, True):
        tfutil.summary.flush()
        steps, training_set = make(training_set=Noise(16, 1, label_size=3), parts=parts)
        set_random_weights(steps)
        steps.Gs.copy_vars_from(steps.G)
        for lod in (1.5, 1.5, 0, 0):
            if together:
                steps.step('DG', moment(lod, 8, 0.01, 0.03))
            else:
                steps.step('D', moment(lod, 8, 0.01))
                steps.step('G', moment(lod, 8, 0.03))
        results.append(
            ([values(net) for net in (steps.G, steps.D, steps.Gs)], tfutil.summary.flush(),
             steps.state(), steps.minibatches.state()))
    np.testing.assert_equal(*results)


@pytest.mark.slow
def test_G_waits_for_D_in_a_step_of_both():
    """All of G's random draws depend on D's gradients, so that D's activations have been freed when
    G's update starts.
    """
    steps, training_set = make()
    steps.step('G', moment(2, 8, 0.01))
    steps.step('DG', moment(2, 8, 0.01, 0.01))
    alone, both = (compiled.function for compiled in steps._compiled.values())
    draws = lambda graph: [
        op for op in graph.get_operations() if op.type.startswith('StatelessRandomUniform')
    ]
    waiting = [
        op for op in draws(both.graph)
        if any(before.type == 'IsFinite' for before in everything_before(op))
    ]
    assert 0 < len(waiting) == len(draws(alone.graph)) < len(draws(both.graph))


def everything_before(operation):
    """All operations that an operation depends on."""
    found, to_look_at = set(), [operation]
    while to_look_at:
        op = to_look_at.pop()
        new = {tensor.op for tensor in op.inputs} | set(op.control_inputs)
        to_look_at += new - found
        found |= new
    return found


@pytest.mark.parametrize('options, expected', [(dict(D_repeats=1), ['DG']),
                                               (dict(D_repeats=2), ['D', 'D', 'G']),
                                               (dict(D_repeats=3), ['D', 'D', 'D', 'G']),
                                               (dict(joint=True), ['both'])])
def test_the_steps_of_a_cycle(options, expected, monkeypatch):
    """A round of two cycles that was stopped after the first step continues with the second."""
    steps, _ = make(**options)
    done, now = [], moment(2, 8, 1, 2)
    monkeypatch.setattr(
        steps, 'step', lambda kind, moment: done.append((kind, moment)) or (0
                                                                            if kind == 'G' else 8))
    shown = sum(steps.run(now, number) for number in range(1, 2 * len(expected)))
    assert done == [(kind, now) for kind in (expected * 2)[1:]
                    ] and shown == 8 * sum(kind != 'G' for kind in (expected * 2)[1:])


class Noise(dataset.SyntheticDataset):
    """Random images whose first pixel encodes their label. Random labels are those of the images
    read last, so this data set is not prefetched.
    """
    reads_ahead = False

    def images_at(self, position, minibatch_size, shape):
        return np.random.RandomState(position).randint(0, 256,
                                                       [minibatch_size, *shape]).astype(np.uint8)

    def _generate_images(self, minibatch_size, lod, shape):
        self.images = self.images_at(self.position, minibatch_size, shape)
        return self.images

    def _generate_labels(self, minibatch_size):
        return np.eye(self.label_size,
                      dtype=np.float32)[self.images[:minibatch_size, 0, 0, 0] % self.label_size]


def recording_D_loss(seen):
    """A loss that records its arguments and draws."""
    def loss_func(G, D, opt, training_set, minibatch_size, reals, labels):
        def note(*arrays):
            seen.append(arrays)
            return np.float32(0)

        noted = tf.numpy_function(
            note, [reals, labels, randomness.normal([minibatch_size, 4])], tf.float32)
        return D.get_output_for(reals, is_training=True)[0][:, 0] + noted
    return loss_func


@pytest.mark.slow
@pytest.mark.parametrize('lod, drange_net, mirror_augment', [(1, [-1, 1], False),
                                                             (1.25, [0, 4], True),
                                                             (0, [-1, 1], True)])
def test_what_the_discriminators_loss_is_given(lod, drange_net, mirror_augment):
    """Reals are faded, rescaled and mirrored as configured, labels are in order, and each update
    has new draws.
    """
    seen = []
    training_set = Noise(16, 1, label_size=3)
    steps, _ = make(training_set=training_set, D_loss=recording_D_loss(seen), drange_net=drange_net,
                    mirror_augment=mirror_augment)
    mirrored = 0
    for i in range(3):
        steps.step('D', moment(lod, 8, 0.0))
        reals, labels, _ = seen[-1]
        images = training_set.images_at(8 * i, 8, reals.shape[1:])
        expected = process_reals(images, tf.constant(lod, tf.float32), False, [0, 255], drange_net,
                                 native=True).numpy()
        straight = np.abs(reals - expected).max(axis=(1, 2, 3)) < 1e-4
        flipped = np.abs(reals - expected[:, :, :, ::-1]).max(axis=(1, 2, 3)) < 1e-4
        assert (straight | flipped).all()
        mirrored += flipped.sum()
        assert (labels.argmax(axis=1) == images[:, 0, 0, 0] % 3).all()
    assert (0 < mirrored < 24) if mirror_augment else mirrored == 0
    assert max_abs(seen[0][2], seen[1][2]) > 0.1 and max_abs(seen[1][2], seen[2][2]) > 0.1


class RandomLabels(dataset.SyntheticDataset):
    def _generate_labels(self, minibatch_size):
        return np.eye(self.label_size,
                      dtype=np.float32)[np.random.randint(self.label_size, size=minibatch_size)]


@pytest.mark.slow
def test_conditional_steps_draw_other_labels_each_time():
    seen = []
    training_set = RandomLabels(16, 1, label_size=3)

    def G_loss(G, D, opt, training_set, minibatch_size):
        labels = training_set.get_random_labels_tf(minibatch_size)
        noted = tf.numpy_function(lambda x: seen.append(x) or np.float32(0), [labels], tf.float32)
        return noted - D.get_output_for(G.get_output_for(tf.ones([minibatch_size, 8]),
                                                         labels))[0][:, 0]
    steps, _ = make(training_set=training_set, G_loss=G_loss)
    for _ in range(4):
        steps.step('G', moment(2, 8, 0.01))
    assert all(labels.shape == (8, 3) and (labels.sum(axis=1) == 1).all() for labels in seen)
    assert len({labels.tobytes() for labels in seen}) > 1


@pytest.mark.slow
def test_statistics_of_conditional_losses():
    steps, training_set = make(training_set=RandomLabels(16, 1, label_size=3))
    steps.step('D', moment(2, 8, 0.01))
    means = tfutil.summary.flush()
    assert means['Loss/label_penalty_reals'] > 0 and means['Loss/label_penalty_fakes'] > 0


MODELS = '''
import keras
import tensorflow as tf

def plain_G(num_channels, resolution, label_size, **kwargs):
    z, labels = keras.Input([8], name='latents_in'), keras.Input([label_size], name='labels_in')
    x = keras.layers.Dense(num_channels * resolution ** 2)(z)
    x = keras.layers.BatchNormalization()(x)
    shape = [num_channels, resolution, resolution]
    return keras.Model([z, labels], keras.layers.Reshape(shape, name='images_out')(x))

class Growing(keras.Model):
    """Takes a stage, but knows nothing of native resolutions."""
    def __init__(self, num_channels, resolution):
        super().__init__(name='Growing')
        self.resolution = resolution
        shape = (None, num_channels, resolution, resolution)
        self.inputs = [keras.KerasTensor((None, 8), name='latents_in'),
                       keras.KerasTensor((None, 0), name='labels_in')]
        self.outputs = [keras.KerasTensor(shape, name='images_out')]
        self.lod = self.add_weight(name='lod', shape=(), initializer='zeros', trainable=False)
        self.dense = keras.layers.Dense(num_channels * resolution ** 2)
        self.dense.build((None, 8))
        self.built = True

    def call(self, latents, labels, stage=None):
        return tf.reshape(self.dense(latents), [-1, *self.outputs[0].shape[1:]])

def growing_G(num_channels, resolution, **kwargs):
    return Growing(num_channels, resolution)
'''


class DerivedDiscriminator(networks.Discriminator):
    """The paper's D with a custom layer in its head that combines the whole minibatch."""

    def build(self):
        self.own = Dense(8, 8, name='Own')
        super().build()

    def build_in_order(self, ordered):
        super().build_in_order([*ordered, self.own])

    def _head(self, x):
        x = self.own(super()._head(x))
        return x - tf.reduce_mean(x, axis=0, keepdims=True)


def derived_D(num_channels, resolution, label_size, **kwargs):
    return DerivedDiscriminator(num_channels=num_channels, resolution=resolution,
                                label_size=label_size, fmap_base=32, fmap_max=8)


@pytest.mark.slow
def test_a_discriminator_derived_from_ours():
    """All its layers learn, and reals and fakes are evaluated separately: properties of the base
    class need not hold for a subclass.
    """
    D = tfutil.Network('D', derived_D, num_channels=1, resolution=16, label_size=0)
    steps, _ = make()
    steps = TrainingSteps([steps.G, D, steps.Gs], [steps.G_opt, steps.D_opt],
                          [steps.G_loss, steps.D_loss], steps.training_set)
    before = values(D)
    for _ in range(2):
        steps.step('DG', moment(0, 8, 0.01))
    assert moved(before, D) >= {
        'Own/weight',
        *(name for name in before if 'weight' in name and 'lod1' not in name and 'lod2' not in name)
    }
    reals, fakes = (tf.constant(np.random.RandomState(i).randn(8, 1, 16, 16), tf.float32)
                    for i in range(2))
    view = D.at_stage(Stage(0, False))
    for images, (scores, _) in zip((reals, fakes), loss.evaluate_both(view, reals, fakes)):
        assert max_abs(scores, view.get_output_for(images)[0]) <= 1e-5


@pytest.mark.slow
@pytest.mark.parametrize('func, lod', [('plain_G', 1.5), ('growing_G', 1.5), ('growing_G', 0)])
def test_generators_of_ones_own(func, lod, tmp_path, monkeypatch, capsys):
    """A functional Keras model with unnamed layers, and one that grows, can be trained, copied,
    listed and pickled; batch statistics reach Gs.
    """
    (tmp_path / 'own_models.py').write_text(MODELS)
    monkeypatch.syspath_prepend(str(tmp_path))
    G = tfutil.Network('G', f'own_models.{func}', num_channels=1, resolution=16, label_size=0)
    G.print_layers()
    steps, training_set = make(G=G)
    before = values(G)
    for _ in range(2):
        steps.step('D', moment(lod, 8, 0.01))
        steps.step('G', moment(lod, 8, 0.01))
    steps.step('D', moment(lod, 8, 0.01))
    assert moved(before, G) and moved(before, steps.Gs)
    for name in set(G.vars) - set(G.trainables):
        assert max_abs(G.get_var(name), steps.Gs.get_var(name)) == 0
        assert name == 'lod' or 'batch' not in name or np.abs(
            G.get_var(name) - (1 if 'variance' in name else 0)).max() > 0
    latents = np.ones([3, 8], np.float32)
    assert max_abs(pickle.loads(pickle.dumps(G)).run(latents), G.run(latents)) == 0
    sys.modules.pop('own_models')


@pytest.mark.parametrize('name, old', [
    ('tf.random_normal', lambda: tf.random_normal([2])),
    ('tf.losses.log_loss', lambda: tf.losses.log_loss(0, 1))])
def test_losses_for_tensorflow_1_are_named_as_such(name, old):
    steps, _ = make(D_loss=lambda **_: old())
    with pytest.raises(ConfigError, match=rf'a loss uses {name}, .*test_step.py, line \d+'):
        steps.run(moment(2, 8, 1, 2), 0)
    steps, _ = make(D_loss=lambda **_: old.no_such)
    with pytest.raises(AttributeError, match='no_such'):
        steps.run(moment(2, 8, 1, 2), 0)
