"""benchmarks/: FLOPs equal those of the compiled step, turns alternate, results are kept, and
errors are reported.
"""
import argparse
import json
import math
import sys

import numpy as np
import pytest
import tensorflow as tf

from benchmarks import __main__ as benchmark
from benchmarks import (
    bare_step,
    common,
    compare,
    flops,
    machine,
    pipeline,
    report,
    suite,
    training_step,
)

TINY = ['--resolution=8', '--fmap_base=32', '--fmap_max=8', '--minibatch=4']
PRINT_RESULT = [sys.executable, '-c', 'print("a note"); print(\'{"value": 1}\')']


# ---------------------------------------------------------------- FLOPs

def test_flops_of_operations_by_hand():
    """A 3x3 convolution of [2, 4, 4, 3] to 5 maps, its gradients, and a [2, 80] by [80, 7] product.

    Operations without effect on the outputs are not counted.
    """
    x, w, v = tf.ones([2, 4, 4, 3]), tf.Variable(tf.ones([3, 3, 3,
                                                          5])), tf.Variable(tf.ones([80, 7]))

    @tf.function(autograph=False)
    def function():
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(tf.matmul(tf.reshape(tf.nn.conv2d(x, w, 1, 'SAME'), [2, 80]), v))
        tf.matmul(v, v, transpose_b=True)
        return tape.gradient(loss, [x, w])
    conv = 2 * 9 * 3 * 5 * 16 * 2
    assert flops.graph_flops(function.get_concrete_function()) == {
        # the loss itself is not requested
        'Conv2DBackpropInput': conv, 'Conv2DBackpropFilter': conv, 'MatMul': 2 * 2 * 80 * 7}


@pytest.mark.slow
@pytest.mark.parametrize('lod, labels', [(0.0, 0), (0.5, 3)])
def test_flops_of_a_step_are_those_of_its_graph(lod, labels):
    """Forward, backward and second-order passes of D's and G's compiled updates are exactly equal.
    """
    args = training_step.parse_args([*TINY, f'--lod={lod}', f'--labels={labels}'])
    steps = training_step.make_steps(args)
    training_step.make_round(args, steps)()
    (both,) = steps._compiled.values()
    assert sum(flops.graph_flops(
        both.function).values()) == args.minibatch * training_step.flops_per_image(args)['total']


def test_flops_agree_with_the_profiler_of_tensorflow():
    """The forward passes agree with TensorFlow's counter.

    In a user's function a network evaluates all of its lods, here the fading stage.
    """
    from tfutil import Network
    builder = tf.compat.v1.profiler.ProfileOptionBuilder
    options = builder(builder.float_operation()).with_empty_output().build()

    def total(node):
        own = node.float_ops if node.name.rsplit('/', 1)[-1].startswith(
            ('Conv2D', 'conv2d', 'MatMul')) else 0
        return own + sum(total(child) for child in node.children)
    for which, layers in (('D', flops.discriminator_layers), ('G', flops.generator_layers)):
        net = Network(which, f'networks.{which}_paper', num_channels=3, resolution=8, fmap_base=32,
                      fmap_max=8)
        inputs = [tf.zeros([4, *shape[1:]]) for shape in net.input_shapes]
        graph = tf.function(lambda net=net, inputs=inputs: net.get_output_for(*inputs),
                            autograph=False).get_concrete_function().graph
        # For a transposed convolution of stride 2 the profiler counts a quarter of the output
        # pixels: 81 / 4 instead of 16 where 4x4 becomes 9x9.
        taken = lambda layer: layer.flops * 81 // 64 if layer.name.endswith('_up') else layer.flops
        expected = 4 * sum(taken(layer) for layer in layers(8, 32, 8, fading=True))
        assert total(tf.compat.v1.profiler.profile(graph, options=options, cmd='scope')) == expected


def test_parameters_are_those_of_the_networks():
    from tfutil import Network
    for which, layers in (('G', flops.generator_layers), ('D', flops.discriminator_layers)):
        net = Network(which, f'networks.{which}_paper', num_channels=3, resolution=4, fmap_base=64,
                      fmap_max=8, label_size=2)
        assert sum(layer.parameters for layer in layers(4, 64, 8, labels=2)) == sum(
            np.prod(var.shape) for var in net.trainables.values())


@pytest.mark.slow
def test_the_bare_step_does_the_same_work(monkeypatch):
    """FLOPs equal those of this program's step with 4x4 kernels, except for the mixed scores.

    The bare step does not report these scores. It also trains: losses change.
    """
    monkeypatch.setattr(flops, 'fused_taps', lambda: 16)
    args = bare_step.parse_args(TINY)
    step = bare_step.make_bare_step(args)
    count = sum(flops.graph_flops(step.get_concrete_function()).values())
    scores = flops.discriminator_layers(8, 32, 8)[-1].flops
    assert count == args.minibatch * (flops.step_flops(8, 32, 8)['total'] - scores)
    losses = [[float(loss) for loss in step()] for _ in range(2)]
    assert np.isfinite(losses).all() and losses[0] != losses[1]


# ---------------------------------------------------------------- turns and children

def test_turns_alternate_and_the_first_does_not_count():
    order = []
    results = common.take_turns(
        {name: lambda name=name: order.append(name) or len(order)
         for name in 'ab'}, turns=2)
    assert ''.join(order) == 'baabba' and results == {'a': [3, 6], 'b': [4, 5]}


def test_ratios_are_of_pairs():
    """A machine that keeps slowing down changes both turns of a pair, so the ratios stay the same.

    Ratios of sums would change.
    """
    ratios = common.pair_ratios(after=[1, 2, 4, 8, 32], before=[2, 4, 8, 16, 32])
    assert ratios == dict(ratio=0.5, lower=0.5, upper=0.5, of_fastest=0.5, pairs=5)
    assert common.pair_ratios([3.0], [2.0]) == dict(ratio=1.5, lower=1.5, upper=1.5, of_fastest=1.5,
                                                    pairs=1)


@pytest.mark.slow
def test_children_that_fail_are_told():
    assert common.run_child(PRINT_RESULT) == [{'value': 1}]
    with pytest.raises(common.MeasurementError, match='code 3: no such luck'):
        common.run_child([sys.executable, '-c', 'import sys; print("no such luck", '
                                                'file=sys.stderr); sys.exit(3)'])
    with pytest.raises(common.MeasurementError, match='code 0: it printed nothing'):
        common.run_child([sys.executable, '-c', ''])
    with pytest.raises(common.MeasurementError, match='more than 0.5 s'):
        common.run_child([sys.executable, '-c', 'import time; time.sleep(60)'], timeout=0.5)


def test_workers_answer_until_they_end(tmp_path):
    script = tmp_path / 'worker.py'
    script.write_text(f'import sys\nsys.path.insert(0, {str(common.ROOT)!r})\nfrom benchmarks '
                      'import common\ncommon.only_results_on_stdout()\nprint("a note")\n'
                      'common.serve(lambda line: sys.exit(4) if line == "end" else '
                      'dict(heard=line), kind="test")\n')
    with common.Worker([sys.executable, script]) as worker:
        assert worker.answer() == {'kind': 'test'} and worker.ask('hello') == {'heard': 'hello'}
        with pytest.raises(common.MeasurementError, match='ended with code 4'):
            worker.ask('end')


# ---------------------------------------------------------------- comparing variants

def test_variants_are_checked(tmp_path, capsys):
    patch = tmp_path / 'idea.py'
    patch.touch()
    variant = compare.parse_variant(f'{common.ROOT}+minibatch=8+env.SOME_NAME=a=b+patch={patch}')
    assert variant == dict(folder=str(common.ROOT), options=dict(minibatch=8),
                           environ={'SOME_NAME': 'a=b'}, patch=str(patch))
    for text, message in ((str(tmp_path), 'not a checkout'), (f'{common.ROOT}+size=3', 'size=3'),
                          (f'{common.ROOT}+patch=gone.py', 'gone.py')):
        with pytest.raises(SystemExit):
            compare.parse_args([text, '.'])
        assert message in capsys.readouterr().err


def test_weights_are_apart_by_what_they_moved():
    a = dict(w=np.float32([3, 4]), b=np.float32([0]))
    assert compare.apart(a, a) == dict(of_all=0.0, most=0.0, variable='w')
    assert compare.apart(a, dict(a, w=np.float32([3, 3]))) == dict(of_all=0.2, most=0.2,
                                                                   variable='w')
    assert compare.apart(a, dict(a, b=np.float32([5])))['variable'] == 'b'
    assert 'different variables' in compare.apart(a, dict(w=a['w']))['variable']


@pytest.mark.slow
@pytest.mark.exhaustive
def test_two_variants_in_turns(tmp_path):
    """The variants make the same updates; a patch that negates G's loss changes G's weights.

    In the first round it changes only those.
    """
    patch = tmp_path / 'idea.py'
    patch.write_text('import loss\nown = loss.G_wgan_acgan\nloss.G_wgan_acgan = lambda *args, '
                     '**kwargs: -own(*args, **kwargs)\n')
    sizes = ['--resolution=4', *TINY[1:], '--turns=1', '--seconds=0', '--check=1']
    result = compare.measure(
        compare.parse_args([str(common.ROOT), f'{common.ROOT}+patch={patch}', *sizes]))
    assert result['after_updates']['of_all'] > 0.1 and result['after_updates'][
        'variable'].startswith('G/')
    assert result['b_beside_a']['pairs'] == 1 and result['a_sec_per_kimg'] > 0 and result[
        'b_sec_per_kimg'] > 0


# ---------------------------------------------------------------- single measurements

def test_the_ceiling_counts_what_it_computes():
    function, count = machine.convolution(2, 4, 8)
    assert count == 2 * 9 * 8 * 8 * 2 * 16 and function().shape == (2, 4, 4)
    function, count = machine.matrix_product(8, dtype='bfloat16')
    assert count == 1024 and function().shape == (8,)
    function, size = machine.memory_pass(1)
    function()
    assert size == 3 * 2 ** 20 and machine.fastest(function, 0) > 0


@pytest.mark.slow
def test_a_training_step_beside_its_ceiling():
    args = training_step.parse_args([*TINY, '--seconds=0', '--ceiling'])
    machine_conv = machine.CONVOLUTIONS
    try:
        machine.CONVOLUTIONS = ((2, 4, 8),)
        result = training_step.measure(args)
    finally:
        machine.CONVOLUTIONS = machine_conv
    assert result['gflop_per_kimg'] == common.significant(flops.step_flops(8, 32, 8)['total'] / 1e6)
    assert math.isclose(result['gflops'] * result['sec_per_kimg'], result['gflop_per_kimg'],
                        rel_tol=1e-3)
    assert math.isclose(sum(result['by_pass'].values()), result['gflop_per_kimg'], rel_tol=1e-3)
    parameters = [
        sum(layer.parameters for layer in layers(8, 32, 8))
        for layers in (flops.generator_layers, flops.discriminator_layers)
    ]
    assert result['optimizer']['optimizer'] == common.significant(
        (15 * parameters[0] + 12 * parameters[1]) / 4e6)
    assert result['share_of_ceiling'] > 0 and result['fastest_sec_per_kimg'] <= result[
        'sec_per_kimg'] and result['peak_mb'] > 100


def test_the_pipeline_of_a_data_set(tmp_path):
    folder = pipeline.make_data(str(tmp_path), 8, 30)
    lines = list(map(lambda size: pipeline.measure_resolution(folder, size, 0.05), (4, 8)))
    assert [(line['resolution'], line['images'], line['minibatch'])
            for line in lines] == [(4, 30, 30), (8, 30, 30)]
    for line in lines:
        assert ('cold_read' in line) == ((line['cold_dropped'] or 0) >= 0.95)
        assert min(line['warm_read'], line['warm_ready'], line['warm_ready_mirror']) > 0


def test_pages_that_were_read_are_in_memory(tmp_path):
    path = tmp_path / 'file'
    path.write_bytes(bytes(100000))
    path.read_bytes()
    assert pipeline.resident_part(path) in (None, 1.0)
    assert (pipeline.drop_from_cache(path) or 0) <= 1


# ---------------------------------------------------------------- the command

def test_every_section_has_a_plan():
    """Keys are unique; the commands' options exist; quick plans are short."""
    for quick in (False, True):
        measurements = suite.plan(suite.SECTIONS, quick)
        assert {m.section for m in measurements} == set(suite.SECTIONS)
        assert len({m.key for m in measurements}) == len(measurements)
        for m in measurements:
            module = __import__(m.command[0], fromlist=['parse_args'])
            assert isinstance(module.parse_args(m.command[1:]), argparse.Namespace)
    assert len(measurements) < 15


@pytest.fixture
def two_measurements(monkeypatch):
    """A suite of a succeeding and a failing child."""
    step = dict(vars(training_step.parse_args(TINY)), sec_per_kimg=2.0, gflop_per_kimg=3.0,
                gflops=1.5, ceiling_gflops=3.0, by_pass=dict(forward=11, backward=12,
                                                             second_order=13),
                optimizer=dict(optimizer=14, optimizer_bytes=15), share_of_ceiling=0.5,
                compile_sec=1.0, peak_mb=7)
    good = suite.Measurement('training/good', 'training',
                             [sys.executable, '-c', f'print({json.dumps(step)!r})'])
    bad = suite.Measurement('machine', 'machine',
                            [sys.executable, '-c', 'raise SystemExit("out of luck")'])
    monkeypatch.setattr(suite, 'plan', lambda sections, quick: [good, bad])
    return step, monkeypatch


def test_results_are_kept_and_gone_on_with(tmp_path, two_measurements, capsys):
    step, monkeypatch = two_measurements
    arguments = ['--quick', f'--folder={tmp_path}', '--name=try']
    assert benchmark.main(arguments) == 1
    assert 'out of luck' in capsys.readouterr().err
    path, = tmp_path.glob('*-try.json')
    results = json.loads(path.read_text())
    assert results['schema'] == 1 and results['options']['quick'] and results['sessions'][0][
        'machine']['tensorflow']
    assert results['measurements']['training/good']['lines'] == [
        step
    ] and 'out of luck' in results['measurements']['machine']['error']
    table = path.with_suffix('.md').read_text()
    assert '| 32/8 | 8 | 4 | float32 | 2.0 | 3.0 | 1.5 | 3.0 | 50 % | 1.0 | 7 |' in table
    assert 'out of luck' in table
    assert '| 32/8 | 8 | 4 | 11 | 12 | 13 | 14 | 15 |' in table
    assert path.with_suffix('.png').read_bytes().startswith(b'\x89PNG')
    with pytest.raises(SystemExit, match='--resume'):  # results are not replaced without --force
        benchmark.main(arguments)

    line = dict(measure='memory', gb_per_sec=5.0)
    again = [
        m._replace(command=[sys.executable, '-c', f'print({json.dumps(line)!r})'])
        for m in suite.plan(None, True)
    ]
    monkeypatch.setattr(suite, 'plan', lambda sections, quick: again)
    assert benchmark.main([f'--folder={tmp_path}', f'--resume={path.stem}']) == 0
    results = json.loads(path.read_text())
    assert results['measurements']['machine']['lines'] == [line] and len(results['sessions']) == 2
    assert results['measurements']['training/good']['lines'] == [
        step
    ], 'a finished measurement was made again'
    assert 'Failed measurements' not in path.with_suffix('.md').read_text()


@pytest.mark.slow
@pytest.mark.exhaustive
def test_a_run_from_its_start_to_its_end():
    """A tiny run of train.py, watched: each stage was compiled, and every timed event happened."""
    measurement, = suite.plan(['startup'], quick=True)
    found = common.run_child(measurement.command)[-1]
    assert list(found['compile_sec']) == ['4', '8', '8 fading'] and min(
        found['compile_sec'].values()) > 0
    assert 0 < found['setup_sec'] < found['first_step_sec'] and found['sec_per_kimg'] > 0
    assert set(found['maintenance_sec']) == {'images', 'checkpoint', 'networks'
                                             } and 0 < found['maintenance_share'] < 1


def test_no_picture_of_nothing(tmp_path, two_measurements, capsys):
    line = dict(measure='memory', gb_per_sec=5.0)
    only = suite.Measurement('machine', 'machine',
                             [sys.executable, '-c', f'print({json.dumps(line)!r})'])
    two_measurements[1].setattr(suite, 'plan', lambda sections, quick: [only])
    assert benchmark.main(['--quick', f'--folder={tmp_path}']) == 0
    assert sorted(path.suffix
                  for path in tmp_path.iterdir()) == ['.json', '.md'
                                                      ] and '.png' not in capsys.readouterr().out


def test_results_of_others_are_refused(tmp_path):
    path = tmp_path / 'other.json'
    for text in ('[1]', '{"schema": 99}', '{'):
        path.write_text(text)
        with pytest.raises(SystemExit, match='other.json'):
            benchmark.main([f'--report={path}'])
    with pytest.raises(SystemExit, match='gone.json does not exist'):
        benchmark.main([f'--report={tmp_path / "gone.json"}'])


def test_results_in_the_repository_can_be_read():
    for path in benchmark.RESULTS.glob('*.json'):
        assert report.markdown(benchmark.read_results(path), path.stem).startswith(f'# {path.stem}')
