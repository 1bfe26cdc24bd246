"""errors: running out of memory is reported in one paragraph, regardless of the library."""
import types

import numpy as np
import pytest
import tensorflow as tf

import dataset_tool
from misc.run_status import end_of
from pgan import errors
from pgan.errors import ConfigError
from pgan.settings import launch

SHAPE = (2**20, 2**20, 3)
BYTES = '3,298,534,883,328 bytes'


def numpy_error():
    np.ones(SHAPE, np.uint8)


def tensorflow_error():
    # On systems that overcommit memory, the process would be killed instead.
    raise tf.errors.ResourceExhaustedError(
        None, None, f'OOM when allocating tensor with shape{list(SHAPE)} and type uint8 on '
        '/job:localhost/replica:0/task:0/device:CPU:0 by allocator cpu'.replace(', ', ','))


def python_error():
    raise MemoryError


def driver_error():
    raise tf.errors.InternalError(None, None, 'on GPU:0: failed to allocate 3 GiB')


SHORTAGES = [(numpy_error, f'for an array of shape {list(SHAPE)}, {BYTES}.'),
             (tensorflow_error, f'for an array of shape {list(SHAPE)}, {BYTES}.'),
             (python_error, 'This machine does not have enough memory. '),
             (driver_error, 'The GPU does not have enough memory. ')]


@pytest.fixture(autouse=True)
def little_memory(limits):
    """Too large to allocate on any machine that runs the test."""


@pytest.mark.parametrize('fails, words', SHORTAGES)
def test_a_program_ends_with_a_paragraph(fails, words, capsys):
    with pytest.raises(SystemExit) as end, errors.exit_on_user_error(['--a', '--b']):
        fails()
    said = capsys.readouterr().err
    assert end.value.code == 1 and said.startswith('error: ') and said.count('\n') == 1
    assert words in said and 'Lower --a or --b, or close other programs' in said


@pytest.mark.parametrize('message', [
    'DNN library initialization failed. Look at the errors above for more details.',
    'No DNN in stream executor.', 'No BLAS support in stream.',
    'Could not create cudnn handle: CUDNN_STATUS_INTERNAL_ERROR',
    'failed to create cublas handle: the library was not initialized',
    'CUBLAS_STATUS_NOT_INITIALIZED',
    'Failed to initialize GPU device #0: unknown error'])
def test_gpu_libraries_that_do_not_start(message, capsys):
    with pytest.raises(SystemExit), errors.exit_on_user_error():
        raise tf.errors.InternalError(None, None, message)
    said = capsys.readouterr().err
    assert said.startswith(f'error: the GPU does not start: {message}') and said.count('\n') == 1
    assert 'nvidia-smi' in said and 'export CUDA_VISIBLE_DEVICES=-1' in said
    assert errors.gpu_library_error(OSError(message)) is None


@pytest.mark.parametrize('message', ['blas GEMM launch failed',
                                     'the oneDNN library does not support this'])
def test_other_errors_of_tensorflow_pass(message):
    error = tf.errors.InternalError(None, None, message)
    with pytest.raises(tf.errors.InternalError) as raised, errors.explaining_memory(()):
        raise error
    assert raised.value is error


@pytest.mark.parametrize('fails, words', SHORTAGES)
def test_what_config_names_says_which_options_to_lower(fails, words, monkeypatch):
    """Training, and the scripts, whose command line replaces 'train.' with '--'."""
    def script(grid_size=1, minibatch_size=8):
        fails()

    def training(total_kimg=1, dry_run=False):
        fails()
    for function, options in ((script, 'Lower train.minibatch_size or train.grid_size,'),
                              (training, 'Lower sched.minibatch_base or sched.minibatch_dict or ')):
        monkeypatch.setattr('tfutil.import_obj', lambda name, function=function: function)
        with pytest.raises(ConfigError) as caught:
            launch.run(types.SimpleNamespace(train={'func': 'x'}))
        assert words in str(caught.value) and options in str(caught.value)
        assert caught.value.__cause__ is not None


@pytest.mark.parametrize('fails, words', SHORTAGES)
def test_dataset_tool(fails, words, monkeypatch, in_tmp, capsys):
    def create_lsun(tfrecord_dir: str, max_images: int = 3) -> None:
        """Fail.

        Args:
            tfrecord_dir: a
            max_images: b

        Example:
            x
        """
        fails()
    monkeypatch.setattr(dataset_tool, 'COMMANDS', (create_lsun, ))
    with pytest.raises(SystemExit) as end:
        dataset_tool.main(['create_lsun', 'out'])
    said = capsys.readouterr().err
    assert end.value.code == 1 and words in said and 'Lower --max_images, or' in said


@pytest.mark.parametrize('fails, words', SHORTAGES)
def test_the_report_of_a_run_tells_it_as_well(fails, words):
    with pytest.raises(Exception) as caught:
        fails()
    state, reason = end_of(caught.value)
    assert state == 'failed' and words in f'{reason} '


@pytest.mark.parametrize('error', [ValueError('out of memory'), OSError('x'), tf.errors.
                                   InvalidArgumentError(None, None, 'shapes differ')], ids=str)
def test_other_errors_stay_what_they_are(error):
    with pytest.raises(type(error)) as caught, errors.exit_on_user_error(['--a']):
        raise error
    assert caught.value is error


@pytest.mark.parametrize(('name', 'candidates', 'nearest'), [
    ('KATZEN', ['hunde', 'katzen', 'Katzen2'], ['katzen', 'Katzen2']),
    ('row', ['rowS', 'rows'], ['rows', 'rowS']), ('x', ['abc'], []), (12, [12, 1], ['12', '1']),
    ('abcd', [f'abcd{number}' for number in range(9)], 3),
])
def test_the_nearest_names_come_closest_first_whatever_their_capitals(name, candidates, nearest):
    found = errors.nearest_names(name, candidates)
    assert found == nearest or len(found) == nearest
    assert errors.did_you_mean(name, candidates) == (
        f' Did you mean {found[0]!r}?' if found else '')
