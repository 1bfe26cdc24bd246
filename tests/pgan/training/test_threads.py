"""training/threads.py and sharing.evaluating: when a minibatch is evaluated in parts, and that the
results stay the same.
"""
import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

import tfutil
from pgan.nn import sharing
from pgan.training import threads
from tests.support.golden import ROOT
from tests.support.networks import max_abs
from tests.support.thread_inputs import config, options
from tfutil import Stage, randomness


@pytest.mark.parametrize('changes',
                         [{},
                          dict(tf_config={'allow_soft_placement': True}),
                          dict(sched=dict(minibatch_dict={4: 128, 8: 2})),
                          dict(G=dict(dtype='bfloat16')),
                          dict(D=dict(use_layernorm=True, mbdisc_kernels=5, mbstd_group_size=1)),
                          dict(G=dict(fmap_base=8192)),
                          dict(G=dict(fmap_max=512)),
                          dict(num_gpus=2, sched=dict(max_minibatch_per_gpu={1024: 3})), ], ids=str)
def test_narrow_networks_work_in_parts(changes):
    assert threads.one_thread_per_operation_pays(config(**changes), options(), {'PATH': '/bin'})


@pytest.mark.parametrize('changes', [
    dict(tf_config={'intra_op_parallelism_threads': 1}),
    dict(tf_config={'inter_op_parallelism_threads': 0}),
    dict(num_gpus=4),
    dict(sched=dict(minibatch_base=15)),
    dict(sched=dict(minibatch_dict={1024: 3})),
    dict(sched=dict(max_minibatch_per_gpu={512: 7})),
    dict(G=dict(fmap_base=8192, fmap_max=512)),
    dict(D=dict(fmap_base=8192, fmap_max=256)),
    dict(D=dict(fmap_decay=0.0, fmap_max=256)),
    dict(G=dict(use_batchnorm=True)),
    dict(D=dict(use_gdrop=True)),
    dict(G=dict(func='networks.G_mnist_mode_recovery')),
    dict(D=dict(func='networks.D_mnist_mode_recovery')),
], ids=str)
def test_others_do_not(changes):
    assert not threads.one_thread_per_operation_pays(config(**changes), options(), {})


def test_the_papers_networks_are_wide():
    paper = config()
    paper.G, paper.D = {'func': 'networks.G_paper'}, {'func': 'networks.D_paper'}
    assert not threads.one_thread_per_operation_pays(paper, options(), {})


@pytest.mark.parametrize(
    'changes', [dict(xla=True), dict(metrics=['swd']),
                dict(resume_run_id=3)], ids=str)
def test_runs_that_share_work_out_by_themselves(changes):
    assert not threads.one_thread_per_operation_pays(config(), options(**changes), {})


@pytest.mark.parametrize('name', ['TF_NUM_INTRAOP_THREADS', 'TF_NUM_INTEROP_THREADS'])
def test_the_environments_word_counts(name):
    assert not threads.one_thread_per_operation_pays(config(), options(), {name: '2'})


# (cores, num_gpus, whether an operation has run before) -> [parts, threads per operation]
SET = [((2, 1, False), [2, 1]), ((2, 2, False), [1, 1]), ((1, 1, False), [1, 0]),
       ((4, 1, False), [1, 0]), ((2, 1, True), [1, 0])]
CONFIGURE = """
import json, os, sys
import tensorflow as tf
from pgan.training import threads
from tests.support.thread_inputs import config, options
for cores, num_gpus, computed_before in json.loads(sys.argv[1]):
    if os.fork() == 0:
        threads.usable_cores = lambda: cores
        if computed_before:
            tf.constant(1) + 1
        run = config(num_gpus=num_gpus), options()
        parts = threads.configure_threads(*run)
        of_an_operation = tf.config.threading.get_intra_op_parallelism_threads()
        print([parts, of_an_operation], threads.configure_threads(*run) == parts, flush=True)
        os._exit(0)
    os.wait()
"""


@pytest.mark.slow
def test_threads_are_set_on_two_cores_before_anything_is_computed(own_threads):
    """Each case in a separate process; the next run in that process gets the same answer."""
    cases = json.dumps([case for case, _ in SET])
    done = subprocess.run([sys.executable, '-c', CONFIGURE, cases], capture_output=True, text=True,
                          cwd=ROOT)
    expected = [f'{threads} True' for _, threads in SET]
    assert done.stdout.splitlines() == expected, done.stdout + done.stderr


# ---------------------------------------------------------------- networks in parts

SMALL = dict(num_channels=1, resolution=16, fmap_base=32, fmap_max=8, dtype='float64')


def evaluated(net, lod, size, parts, compiled=True):
    """Outputs of a view of the network, gradients of their sum, and the number of convolutions."""
    rnd = np.random.RandomState(size)
    inputs = [rnd.randn(size, *shape[1:]).astype(np.float32) for shape in net.input_shapes]
    view = net.at_stage(None if lod is None else Stage.of(lod, net.model.resolution))
    if lod is not None:
        net.set_var('lod', lod)

    @tf.function(autograph=False)
    def compute():
        with randomness.keyed(1, 1), tf.GradientTape() as tape, sharing.evaluating(parts):
            outputs = view.get_output_for(*map(tf.constant, inputs), is_training=True)
            total = sum(tf.reduce_sum(tf.square(x)) for x in tf.nest.flatten(outputs))
        return outputs, tape.gradient(total, list(net.trainables.values()),
                                      unconnected_gradients='zero')

    convolutions = sum(node.op == 'Conv2D'
                       for node in compute.get_concrete_function().graph.as_graph_def().node)
    return [x.numpy() for x in tf.nest.flatten(compute())], convolutions


def same(whole, parted, use_layernorm):
    """Equal up to rounding of float32 variables: 1e-6 of the largest component of an output or
    gradient. Activations are float64.

    Layer normalization computes in float32, and some of its gradients are pure rounding noise, so
    for them the bound is 1e-6 of the largest of all.
    """
    top = max(np.abs(a).max() for a in whole if a.size)
    return all(
        max_abs(a, b) <= 1e-6 * (top if use_layernorm else np.abs(a).max())
        for a, b in zip(whole, parted, strict=True) if a.size)


@pytest.mark.first(4, rest='exhaustive')
@pytest.mark.slow
@pytest.mark.parametrize('kind, more',
                         [('G', {}),
                          ('G', dict(use_pixelnorm=False, tanh_at_end=1.0, fused_scale=False)),
                          ('G', dict(structure='linear')), ('D', {}),
                          ('D', dict(mbstd_group_size=2, fused_scale=False)),
                          ('D', dict(mbstd_group_size=0, use_layernorm=True)),
                          ('D', dict(mbdisc_kernels=3)),
                          ('D', dict(structure='linear')), ], ids=str)
def test_networks_in_parts_give_the_same(kind, more):
    for label_size, lod, size, parts in ((0, 1.5, 8, 2), (3, 0.0, 12, 3)):
        lod = None if 'structure' in more else lod
        net = tfutil.Network(kind, f'networks.{kind}_paper', label_size=label_size, **SMALL, **more)
        whole, once = evaluated(net, lod, size, 1)
        parted, times = evaluated(net, lod, size, parts)
        assert same(whole, parted, 'use_layernorm' in more) and times == parts * once, (label_size,
                                                                                        lod, size,
                                                                                        parts)


@pytest.mark.first(2, rest='exhaustive')
@pytest.mark.slow
@pytest.mark.parametrize('kind, more, size', [('G', dict(use_batchnorm=True), 8),
                                              ('D', dict(use_gdrop=True), 8), ('G', {}, 3),
                                              ('D', dict(mbstd_group_size=3), 3)], ids=str)
def test_what_needs_the_whole_minibatch_gets_it(kind, more, size):
    """Minibatch statistics, noise, and a minibatch of odd size are bitwise equal, because nothing
    is split.
    """
    net = tfutil.Network(kind, f'networks.{kind}_paper', **SMALL, **more)
    (whole, once), (parted, times) = (evaluated(net, 0.0, size, parts) for parts in (1, 2))
    assert once == times and all(
        (a == b).all() for a, b in zip(whole, parted, strict=True) if 'use_batchnorm' not in more)


def test_parts_end_with_their_block():
    with sharing.evaluating(2):
        assert len(parts_of(4)) == 2
    assert len(parts_of(4)) == 1


def parts_of(size):
    seen = []
    sharing.by_parts(lambda x: seen.append(x) or x, tf.zeros([size, 1]))
    return seen
