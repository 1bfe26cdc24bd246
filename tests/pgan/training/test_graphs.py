"""Properties of the training step on a GPU, read off its graph: operations, launches, collectives,
and XLA with every option.

The numbers of `test_launches` are in the table of benchmarks/LOG.md.
"""
import numpy as np
import pytest
import tensorflow as tf

import loss
from benchmarks import graphs, training_step
from pgan.scripts.project_image import image_distance
from pgan.training.step import UpdateOptions, _updates_in
from tests.support.networks import max_abs, moment
from tests.support.replica_inputs import GENTLE, Noise, make_steps, train, weights
from tfutil import Stage
from tfutil.devices import Devices, make_devices

LSGAN = dict(G_loss=loss.G_lsgan_acgan, D_loss=loss.D_lsgan_acgan)
THEANO = dict(G=dict(use_batchnorm=True, tanh_at_end=1.0), D=dict(use_layernorm=True,
                                                                  use_gdrop=True, mbdisc_kernels=3))
UNFUSED = dict(G=dict(fused_scale=False, use_pixelnorm=False, use_leakyrelu=False),
               D=dict(fused_scale=False))


def compiled(steps, kind, now):
    """The function of a step, traced but not run."""
    data = steps.minibatches.take(now.minibatch, now.lod) if kind != 'G' else ()
    if kind == 'compare':
        data = *data, data[0]  # any images are held-out ones for it
    return steps._compile(kind, now, Stage.of(now.lod, steps.training_set.shape[1]), data,
                          [4 for _ in _updates_in(kind)]).function


# ---------------------------------------------------------------- operations


@pytest.mark.first(3, rest='exhaustive')
@pytest.mark.slow
@pytest.mark.parametrize('dtype', ['float32', 'float16', 'bfloat16'])
@pytest.mark.parametrize(
    'kind, lod, options, networks',
    [('DG', 0.5, dict(dequantize_reals=True, mirror_augment=True), {}),
     ('both', 0.5, dict(joint=True), dict(THEANO)),
     ('DG', 1.0, dict(fuse=True), dict(UNFUSED, **LSGAN)), ], ids=[
         'fading, dequantized', "joint, the Theano version's layers",
         'unfused layers, fused operations, least '
         'squares'
     ])
def test_every_operation_of_a_step_has_a_kernel_for_gpus(dtype, kind, lod, options, networks):
    scaling = dict(use_loss_scaling=True) if dtype == 'float16' else {}
    steps = make_steps(dtype=dtype, training_set=Noise(8, 1, label_size=3), resolution=8,
                       options=UpdateOptions(**options), **networks, **scaling)
    assert graphs.missing_gpu_kernels(compiled(steps, kind, moment(lod, 8, 0.001)),
                                      pinned=True) == {}


# Operations whose GPU kernel raises an error if determinism is on: those whose names follow the
# words 'deterministic' and 'determinism' in TensorFlow's library.
INDETERMINATE = set(
    'AdjustContrast AdjustContrastv2 Bincount CropAndResizeGradBoxes CropAndResizeGradImage '
    'DenseBincount Dilation2DBackpropFilter Dilation2DBackpropInput '
    'FakeQuantWithMinMaxVarsGradient FakeQuantWithMinMaxVarsPerChannelGradient '
    'MaxPoolGradWithArgmax ResizeNearestNeighborGrad ScatterAdd ScatterSub ScatterUpdate '
    'SoftmaxCrossEntropyWithLogits SparseSoftmaxCrossEntropyWithLogits SparseTensorDenseMatMul '
    'Svd'.split())


def operations(function):
    """Types of all operations of a concrete function."""
    return {node.op for node, _ in graphs._executed(function.graph.as_graph_def(),
                                                    enter_compiled=True)}


@pytest.mark.slow
@pytest.mark.parametrize('kind, method', [('DG', 'diffaugment'), ('DG', 'ada'), ('compare', 'ada')])
def test_augmentation_has_kernels_for_gpus_with_determinism(kind, method):
    """None is missing, none raises an error if determinism is on, and none runs on the host."""
    steps = make_steps(training_set=Noise(8, 1, label_size=3), resolution=8,
                       options=UpdateOptions(augment=method))
    function = compiled(steps, kind, moment(0.5, 8, 0.001))
    assert graphs.missing_gpu_kernels(function, pinned=True) == {}
    assert not operations(function) & INDETERMINATE
    assert graphs.host_copies(graphs.optimized_for_gpu(function)) == {}


@pytest.mark.slow
@pytest.mark.parametrize('method', ['diffaugment', 'ada'])
def test_no_scatter_is_fused(method):
    """On GPUs, XLA executes scatters one element after the other if determinism is on."""
    steps = make_steps(training_set=Noise(8, 1), resolution=8,
                       options=UpdateOptions(augment=method, fuse=True))
    texts = graphs.compiled_texts(compiled(steps, 'DG', moment(0.5, 8, 0.001)), 'hlo').values()
    assert len(texts) > 5 and not any('scatter' in text for text in texts)


def test_projection_on_a_gpu():
    """The gradient of the distance to a picture has kernels, which are deterministic."""
    @tf.function(autograph=False)
    def gradient(images):
        with tf.GradientTape() as tape:
            tape.watch(images)
            distance = image_distance(images, np.zeros([1, 3, 32, 32], np.float32))
        return tape.gradient(distance, images)
    function = gradient.get_concrete_function(tf.TensorSpec([2, 3, 32, 32]))
    assert graphs.missing_gpu_kernels(function) == {}
    assert not operations(function) & INDETERMINATE


@pytest.mark.slow
def test_an_operation_without_a_kernel_is_found():
    def D_loss(D, reals, **others):
        return D.get_output_for(reals)[0][:, 0] + tf.numpy_function(lambda: np.float32(0), [],
                                                                    tf.float32)
    steps = make_steps(D_loss=D_loss)
    assert any('PyFunc' in name for name in graphs.missing_gpu_kernels(
        compiled(steps, 'D', moment(0, 8, 0.001)), pinned=True))


# ---------------------------------------------------------------- launches

@pytest.fixture(scope='module')
def papers_steps():
    """Steps of the paper's networks at 1024x1024, by precision. Cached, because creating their
    variables takes a while.
    """
    made = {}

    def at(dtype, **options):
        args = training_step.parse_args([
            '--resolution=1024', '--fmap_base=8192', '--fmap_max=512', f'--dtype={dtype}',
            '--minibatch=4'
        ])
        if dtype not in made:
            made[dtype] = training_step.make_steps(args)
        made[dtype].options = UpdateOptions(mirror_augment=True, **options)
        return made[dtype]
    return at


@pytest.mark.first(1, rest='exhaustive')
@pytest.mark.slow
@pytest.mark.parametrize('dtype, lod, options, most, most_transposes', [
    ('float32', 0.0, dict(fuse=True), 1200, 53),
    ('float32', 0.5, dict(fuse=True), 1300, 60),
    ('float32', 0.0, dict(xla=True), 60, 0),
    ('bfloat16', 0.0, dict(fuse=True), 960, 17),
], ids=str)
def test_launches(papers_steps, dtype, lod, options, most, most_transposes):
    """Launches per D and G update after TensorFlow's graph optimizer for an H100. Exceeding a bound
    means that an optimization has been lost.
    """
    steps = papers_steps(dtype, **options)
    steps.moved = set(steps.G.trainables)
    graph = graphs.optimized_for_gpu(compiled(steps, 'DG', moment(lod, 4, 0.001)))
    launched = sum(graphs.launches(graph).values())
    # a much lower count would make the bound meaningless
    assert 0.9 * most * bool(options.get('fuse')) <= launched <= most, launched
    assert graphs.transposes(graph) <= most_transposes
    assert graphs.compiled_calls(graph) > 0


# ---------------------------------------------------------------- collectives

@pytest.mark.slow
def test_three_packed_collectives_in_each_step_and_replica():
    """Gradients of D, gradients of G, and statistics, with the cross-device operations used on
    GPUs.
    """
    names = make_devices(2).local_names
    devices = Devices(tf.distribute.MirroredStrategy(names))
    steps = make_steps(devices, Noise(16, 1, label_size=3))
    found = graphs.collectives(compiled(steps, 'DG', moment(0.5, 8, 0.001)))
    assert found == {'CollectiveReduceV2': 6}


# ---------------------------------------------------------------- XLA

@pytest.mark.first(2, rest='exhaustive')
@pytest.mark.slow
@pytest.mark.parametrize('dtype, networks', [
    ('float16', dict(D=dict(use_layernorm=True))), ('bfloat16', {}), ('float32', THEANO)],
    ids=['float16, layer norm', 'bfloat16', 'batch norm, layer norm, noise, minibatch '
                                            'discrimination'])
def test_xla_on_every_option(dtype, networks):
    """Equal weights after three rounds, up to the rounding of the precision, relative to their
    change.
    """
    scaling = dict(use_loss_scaling=True, loss_scaling_init=8.0) if dtype == 'float16' else {}
    results = []
    for xla in (False, True):
        steps = make_steps(dtype=dtype, training_set=Noise(8, 1), resolution=8,
                           options=UpdateOptions(xla=xla), **networks, **scaling, **GENTLE)
        before = weights(steps)
        train(steps, 1, 3, minibatch=8, lrate=0.1)  # at 4x4, which compiles quickly
        results.append(weights(steps))
    plain, by_xla = results
    way = max(max_abs(plain[name], before[name]) for name in before)
    apart = max(max_abs(plain[name], by_xla[name]) for name in before)
    assert way > 0.01 and apart <= (0.002 if dtype == 'float32' else 0.1) * way, (way, apart)
