"""The small parts of tfutil: objects, ops, summary, randomness, runtime."""
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import tfutil
from pgan.errors import ConfigError
from tests.support.golden import ROOT
from tests.support.networks import max_abs
from tfutil import randomness, summary
from tfutil.runtime import tf32_allowed


@pytest.fixture(autouse=True)
def no_leftovers():
    summary.flush()


@pytest.mark.parametrize('a, b, t, plain, clipped', [(1.0, 3.0, 0.5, 2.0, 2.0),
                                                     (1.0, 3.0, 2.0, 5.0, 3.0),
                                                     (1.0, 3.0, -1.0, -1.0, 1.0)])
def test_lerp(a, b, t, plain, clipped):
    assert tfutil.lerp(a, b, t) == plain and float(tfutil.lerp_clip(a, b, t)) == clipped


@pytest.mark.parametrize('x', [0.25, 1.0, 3.0, 1024.0])
def test_log2_and_exp2(x):
    assert float(tfutil.log2(tf.constant(x))) == pytest.approx(np.log2(x), abs=1e-6)
    assert float(tfutil.exp2(tf.constant(np.log2(x), tf.float32))) == pytest.approx(x, rel=1e-5)


def test_names_to_objects():
    assert tfutil.import_obj('tfutil.ops.lerp') is tfutil.lerp
    assert tfutil.import_module('tfutil.ops.lerp').__name__ == 'tfutil.ops'
    assert tfutil.find_obj_in_module(np, 'random.rand') is np.random.rand
    assert tfutil.call_func_by_name(2, 3, func='operator.add') == 5
    with pytest.raises(ConfigError, match="Did you mean 'lerp'"):
        tfutil.import_obj('tfutil.ops.lerpp')
    with pytest.raises(ConfigError, match="no module 'nowhere'.*or on PYTHONPATH"):
        tfutil.import_obj('nowhere.at.all')
    with pytest.raises(ConfigError, match="'func' line is missing"):
        tfutil.call_func_by_name(1)


def test_a_broken_import_inside_a_module_is_not_called_a_missing_module(tmp_path, monkeypatch):
    (tmp_path / 'needs_more.py').write_text('import surely_not_installed')
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModuleNotFoundError, match='surely_not_installed'):
        tfutil.import_obj('needs_more.func')


def test_autosummary_takes_numbers_arrays_and_tensors_everywhere():
    autosummary = tfutil.autosummary
    assert autosummary('a', 2) == 2
    autosummary('a', np.array([4.0, np.nan, np.inf]))
    autosummary('a', tf.constant([6.0]))

    @tf.function
    def compiled(x):
        return autosummary('a', x) * 2
    assert float(compiled(tf.constant(8.0))) == 16
    autosummary('only nan', np.nan)
    assert summary.flush() == {'a': 5.0}
    assert summary.flush() == {}


def test_autosummary_inside_a_collecting_step():
    @tf.function
    def step(x):
        with summary.collecting() as collected:
            tfutil.autosummary('x', x)
            tfutil.autosummary('y', 2 * x[0])
            tfutil.autosummary('x', x + 10)
            return collected.statistics()
    for _ in range(3):
        summary.add_deferred(step(tf.constant([1.0, np.inf])))
    summary.add_deferred(step(tf.constant([1.0, 3.0])))
    # x: three times (1, 11), once (1, 3, 11, 13); infinities do not count
    assert summary.flush() == {'x': pytest.approx((3 * 12 + 28) / 10), 'y': 2.0}


def test_state_of_the_accumulators_can_be_saved():
    tfutil.autosummary('a', 1)
    saved = summary.state()
    tfutil.autosummary('a', 5)
    summary.restore(saved)
    assert summary.flush() == {'a': 1.0}


def test_event_file(tmp_path):
    writer = tfutil.SummaryWriter(tmp_path)
    for step in (100, 200):
        tfutil.autosummary('Loss/x', step / 100)
        tfutil.save_summaries(writer, step)
    writer.histogram('w', np.random.RandomState(0).randn(1000), 200)
    writer.close()
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars('Loss/x')] == [(100, 1.0), (200, 2.0)]
    histogram = events.Histograms('w')[0].histogram_value
    assert histogram.num == 1000 and sum(
        histogram.bucket) == 1000 and histogram.bucket_limit[-1] == histogram.max


def test_keyed_draws_are_a_function_of_seed_and_step():
    @tf.function
    def draw(seed, step):
        with randomness.keyed(seed, step):
            return randomness.normal([4, 3]), randomness.uniform([4]), randomness.integers([4], 10)
    first, again = draw(tf.constant(1), tf.constant(5)), draw(tf.constant(1), tf.constant(5))
    assert all(max_abs(a, b) == 0 for a, b in zip(first, again))
    for other in (draw(tf.constant(2), tf.constant(5)), draw(tf.constant(1), tf.constant(6))):
        assert all(max_abs(a, b) > 0 for a, b in zip(first[:2], other[:2]))
    with randomness.keyed(1, 5):
        assert max_abs(randomness.normal([100]), randomness.normal([100])) > 0.1


@pytest.mark.parametrize('seed', [0, 1000, -5, 2 ** 31 - 1])
def test_keys_folded_on_the_host_are_those_folded_in_a_graph(seed, monkeypatch):
    """The same bits for every seed, step, draw and replica, also at the end of a block of steps."""
    def draws():
        return [randomness.normal([5]), randomness.uniform([3]), randomness.integers([4], 1000)]
    for step in (0, 1, 127, 128, 24_000_000):
        for replica in (0, 3):
            monkeypatch.setattr(randomness, '_replica', lambda replica=replica: replica)
            with randomness.keyed(seed, step):
                expected = draws()
            with randomness.keyed_by(
                    tf.constant(randomness.key_table(seed, step, 4, 3))) as key:
                received = draws()
            assert key.draws == 3 and all(max_abs(a, b) == 0 for a, b in zip(expected, received))


@pytest.mark.slow
def test_replicas_draw_differently():
    """In a subprocess, as devices are configured before TensorFlow starts."""
    code = '''
import tensorflow as tf
from tfutil import randomness
cpu = tf.config.list_physical_devices('CPU')[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(['CPU:0', 'CPU:1'])
@tf.function
def draw():
    with randomness.keyed(1, 1):
        return randomness.normal([5])
a, b = strategy.run(draw).values
print('largest difference', float(tf.reduce_max(abs(a - b))))
'''
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.split()[-1]) > 0.01


def test_run_takes_what_a_session_took():
    x, y = tf.constant([1., 2.]), tf.Variable(3)
    one, listed, several = tfutil.run(x), tfutil.run([x, y]), tfutil.run(x, y)
    named, nested = tfutil.run({'x': x}), tfutil.run((x, [y, lambda: 4]))
    for value in (one, *listed, *several, named['x'], nested[0]):
        assert isinstance(value, (np.ndarray, np.generic)), type(value)
    assert type(listed) is list and type(nested) is tuple and nested[1] == [3, 4]
    for fed in (tfutil.run(x, {}), tfutil.run(x, feed_dict={}), tfutil.run(x, feed_dict=None)):
        assert fed.tolist() == [1, 2]
    for call in (lambda: tfutil.run(x, {y.ref(): 1}), lambda: tfutil.run(x, feed_dict={'x': 1})):
        with pytest.raises(ConfigError, match='no placeholders.*feed_dict of 1.*leave feed_dict'):
            call()


def test_tf_config_options():
    tfutil.init_tf({'allow_soft_placement': True})
    with pytest.raises(ConfigError, match="Did you mean 'allow_soft_placement'.*Known: "
                                          'gpu_options.allow_growth'):
        tfutil.init_tf({'allow_soft_placemnt': True})


@pytest.mark.parametrize('config, allowed', [(None, False), ({}, False), ({'tf32': True}, True),
                                             ({'tf32': False}, False)], ids=str)
def test_tensorfloat32_is_off_unless_asked_for(config, allowed):
    try:
        tf.config.experimental.enable_tensor_float_32_execution(True)
        tfutil.init_tf(config)
        assert tf.config.experimental.tensor_float_32_execution_enabled() == tf32_allowed(
        ) == allowed
        assert tf.config.optimizer.get_experimental_options()['layout_optimizer'] != allowed
    finally:
        tfutil.init_tf()


@pytest.mark.slow
def test_tensorfloat32_is_off_in_a_program_that_only_imports_tfutil():
    """TensorFlow's default is on. Loading a network needs no `init_tf`."""
    code = ('import tensorflow as tf, tfutil; '
            'print(tf.config.experimental.tensor_float_32_execution_enabled())')
    assert subprocess.run([sys.executable, '-c', code], capture_output=True, text=True,
                          cwd=ROOT).stdout.strip() == 'False'


@pytest.mark.parametrize('value', ['yes', 2, None])
def test_tensorfloat32_is_on_or_off(value):
    with pytest.raises(ConfigError, match=r"tf_config\['tf32'\]: expected True or False"):
        tfutil.init_tf({'tf32': value})


def test_the_options_of_the_shipped_configuration_cause_no_note(capsys):
    tfutil.init_tf({'graph_options.place_pruned_graph': True})
    assert capsys.readouterr().out == ''


def test_seed_sets_all_generators():
    draws = []
    for _ in range(2):
        tfutil.init_tf(random_seed=5)
        draws.append((np.random.rand(), float(tf.random.normal([]))))
    assert draws[0] == draws[1]
