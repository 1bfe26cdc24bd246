"""pgan/options.py: values accepted by annotations; all functions that config.py can name annotate
and document their options.
"""
import inspect
import math
import typing
from typing import Annotated, Any, Literal

import numpy as np
import pytest

import dataset
import loss
import networks
import util_scripts
from pgan.definitions import option_names
from pgan.errors import ConfigError
from pgan.options import (
    ANYTHING,
    REQUIRED,
    ByResolution,
    Count,
    Decay,
    DottedName,
    Fraction,
    Interval,
    NonNegative,
    Positive,
    Resolution,
    Seed,
    Size,
    Such,
    Supplied,
    SuppliedIfTaken,
    ValueRange,
    argument_helps,
    check_kind,
    check_value,
    checked,
    kind_of,
    options_of,
    rest_of,
    user_options,
    with_defaults,
)
from pgan.reporting.snapshots import setup_snapshot_image_grid
from pgan.settings.checking import OWN_FUNCTIONS
from pgan.training.loop import train_progressive_gan
from pgan.training.schedule import TrainingSchedule
from tfutil import Optimizer, import_obj

SHIPPED = [
    *(getattr(networks, name) for name in networks.__all__),
    *(getattr(util_scripts, name) for name in util_scripts.__all__),
    *(function for name, function in vars(loss).items() if name.endswith('_acgan')),
    Optimizer, TrainingSchedule, train_progressive_gan, setup_snapshot_image_grid,
    dataset.TFRecordDataset, dataset.SyntheticDataset, dataset.load_dataset
]
UNLIMITED = {
    'tanh_at_end', 'loss_scaling_init', 'shuffle_mb', 'prefetch_mb', 'buffer_mb', 'num_threads',
    'cur_nimg', 'run_id', 'resume_run_id', 'init_from', 'name', 'image', 'inception',
    'data_dir', 'metrics'
}


def annotations(function):
    target = function.__init__ if inspect.isclass(function) else function
    return typing.get_type_hints(target, include_extras=True)


def cases():
    """(function, option, its annotation) of every option of the shipped functions."""
    return [
        pytest.param(option, annotations(function).get(name), id=f'{function.__name__}.{name}')
        for function in SHIPPED for name, option in options_of(function).items()
    ]


def parts_of(annotation):
    """An annotation and all its parts."""
    yield annotation
    for part in typing.get_args(annotation):
        yield from parts_of(part)


def outside(interval, step):
    """The nearest numbers outside an interval."""
    if interval.low > -math.inf:
        yield interval.low if interval.open_low else step(interval.low, -math.inf)
    if interval.high < math.inf:
        yield interval.high if interval.open_high else step(interval.high, math.inf)


def inside(interval, step):
    """The extreme numbers of an interval."""
    if interval.low > -math.inf:
        yield step(interval.low, math.inf) if interval.open_low else interval.low
    if interval.high < math.inf:
        yield step(interval.high, -math.inf) if interval.open_high else interval.high


def next_integer(number, towards):
    return number + (1 if towards > number else -1)


# ---------------------------------------------------------------- the shipped functions

def test_nothing_that_config_py_names_is_left_out():
    assert set(map(import_obj, OWN_FUNCTIONS.values())) <= set(SHIPPED) and len(SHIPPED) == 23


@pytest.mark.parametrize('option, annotation', cases())
def test_each_option_says_what_it_takes(option, annotation):
    kind = kind_of(annotation)
    assert annotation is not None and kind is not None and option.kind.words == kind.words
    assert option.is_supplied or kind is not ANYTHING
    assert option.default is REQUIRED or kind.holds(option.default)


@pytest.mark.parametrize('option, annotation', cases())
def test_numbers_are_refused_just_outside_of_their_interval(option, annotation):
    bounded = [
        part for part in parts_of(annotation)
        if any(isinstance(mark, Interval) for mark in getattr(part, '__metadata__', ()))
    ]
    for part in bounded:
        base, interval = part.__origin__, part.__metadata__[0]
        step = next_integer if base is int else math.nextafter
        wrapped = (lambda number: {4: number}) if option.kind.keys else lambda number: number
        for number in inside(interval, step):
            check_value('it', wrapped(number), option)
        for number in [*outside(interval, step), math.nan, math.inf, True]:
            with pytest.raises(ConfigError, match=r'^it.*: expected .*\. Received: '):
                check_value('it', wrapped(number), option)


@pytest.mark.parametrize('option, annotation', cases())
def test_only_some_take_any_value_of_their_type(option, annotation):
    parts = list(parts_of(annotation))
    limited = any(isinstance(mark, (Interval, Such)) for part in parts
                  for mark in getattr(part, '__metadata__', ()))
    plain = [part for part in parts if part in (int, float, str, list, dict)]
    assert limited or not plain or option.name in UNLIMITED


@pytest.mark.parametrize('option, annotation', cases())
def test_choices_are_those_that_are_named(option, annotation):
    for part in parts_of(annotation):
        if typing.get_origin(part) is Literal:
            for choice in typing.get_args(part):
                check_value('it', choice, option)
            with pytest.raises(ConfigError, match=r"it: expected .*\. Received: 'neither'"):
                check_value('it', 'neither', option)


def explained(function):
    """Options that a docstring explains, directly or by naming another option."""
    doc = inspect.getdoc(function)
    names = {name for name, option in options_of(function).items() if option.meaning}
    for line in doc.replace('\n', ' ').split('. '):
        if 'ame arguments as' in line or 'others are those of' in line:
            other = line.split('`')[1].rpartition('.')[2]
            names |= explained(getattr(networks, other, None) or getattr(loss, other))
    return names


@pytest.mark.parametrize('function', SHIPPED, ids=lambda function: function.__name__)
def test_each_option_of_the_users_is_explained(function):
    assert set(user_options(function)) <= explained(function)


@pytest.mark.parametrize('functions', [
    [networks.G_paper, networks.G_mnist_mode_recovery],
    [networks.D_paper, networks.D_mnist_mode_recovery],
    [loss.G_wgan_acgan, loss.G_lsgan_acgan],
    [loss.D_wgangp_acgan, loss.D_lsgan_acgan],
])
def test_functions_for_the_same_place_are_passed_the_same(functions):
    first, second = (
        {name for name, option in options_of(function).items() if option.is_needed}
        for function in functions)
    assert first == second != set()


@pytest.mark.parametrize('name', OWN_FUNCTIONS.values())
def test_names_read_from_the_source_are_those_of_the_function(name):
    assert option_names(name) == list(user_options(import_obj(name)))


# ---------------------------------------------------------------- annotations

@pytest.mark.parametrize('annotation, words, good, bad', [
    (bool, 'True or False', [True, False], [0, 1, None]),
    (int, 'an integer', [-3, 0, np.int64(7)], [1.0, True, '1', None]),
    (float, 'a number', [1, -0.5, np.float32(2), 10**400], [math.nan, math.inf, True, '1', 1j]),
    (str, 'a string', ['', 'a'], [None, 3]),
    (list, 'a list', [[], (1, 'a')], [{}, None]),
    (list[str], 'a list, each item a string', [[], ['a'], ('a', 'b')], [3, [3], [None]]),
    (dict, 'a dict', [{}, {1: 2}], [[], None]),
    (Any, 'anything', [None, 3, []], []),
    (Count, 'an integer of at least 1', [1, 2**70], [0, 1.5]),
    (Size, 'an integer of at least 0', [0], [-1, 0.0]),
    (Seed, 'an integer from 0 to 4294967295', [0, 2**32 - 1], [-1, 2**32]),
    (Positive, 'a number above 0', [1e-300, 5], [0, -1]),
    (NonNegative, 'a number of at least 0', [0, 0.5], [-1e-300]),
    (Fraction, 'a number from 0 to 1', [0, 1, 0.5], [1.1, -0.1]),
    (Decay, 'a number from 0 to 1 (excluding 1)', [0, 0.999], [1, -0.1]),
    (Resolution, 'a resolution (a power of two from 4 up)', [4, 1024], [0, 2, -4, 12, 8.0, '8']),
    (ValueRange, 'two numbers, black level and white level, in ascending order, e.g. [-1, 1]',
     [[0, 1], (-1, 0.5)], [[0], [1, 1], [1, 0], [0, 1, 2], ['a', 'b'], [0, math.inf], 3]),
    (DottedName, "a dotted name like 'module.name'", ['a.b'], ['a', 3, None]),
    (Literal['a', None], "one of 'a', None", ['a', None], ['b', np.array(['a', 'a'])]),
    (Literal[1, 3], 'one of 1, 3', [1, 3, np.int64(3)], [True, 2, '1']),
    (Literal['a', 'b'] | None, "one of None, 'a', 'b'", ['b', None], [0, '']),
    (Count | None, 'None or an integer of at least 1', [None, 1], [0, 'None']),
    (Literal['full'] | Size, "'full' or an integer of at least 0", ['full', 0], ['all', -1, None]),
    (Literal['rows'] | Size | None, "None, 'rows' or an integer of at least 0", [None, 'rows', 2],
     [True, 'row', -1]),
    (Supplied[Count], 'an integer of at least 1', [1], [0]),
    (SuppliedIfTaken[Count | None], 'None or an integer of at least 1', [1, None], [0]),
    (Annotated[Any, Such('an even number', lambda value: value % 2 == 0)], 'an even number', [2],
     [3]),
])
def test_annotations(annotation, words, good, bad):
    kind = kind_of(annotation)
    assert kind.words == words
    for value in good:
        check_kind('it', value, kind)
    for value in bad:
        with pytest.raises(ConfigError) as error:
            check_kind('it', value, kind)
        assert str(error.value) == f'it: expected {words}. Received: {value!r}.'


@pytest.mark.parametrize('annotation, value', [
    (list[str], 'swd'), (list[int], 8), (list, 'a'), (list[str] | None, 'b')])
def test_a_single_item_is_shown_in_the_list_that_is_wanted(annotation, value):
    with pytest.raises(ConfigError) as error:
        check_kind('it', value, kind_of(annotation))
    assert str(error.value) == f'it: expected a list like {[value]!r}. Received: {value!r}.'


def test_keys_and_values_of_a_dict_are_looked_at_one_by_one():
    kind = kind_of(ByResolution[Count])
    check_kind('it', {4: 1, 8: 2}, kind)
    for value, message in [
        ([4], 'it: expected a dict {a resolution (a power of two from 4 up): an integer of at '
              'least 1}. Received: [4].'),
        ({4: 1, 12: 1}, 'it[12]: expected a resolution (a power of two from 4 up) as the key. '
                        'Received: 12.'),
        ({4: 0}, 'it[4]: expected an integer of at least 1. Received: 0.')]:
        with pytest.raises(ConfigError) as error:
            check_kind('it', value, kind)
        assert str(error.value) == message
    check_kind('it', None, kind_of(ByResolution[Count] | None))


@pytest.mark.parametrize('annotation', [
    np.ndarray, 'no such name', object, [int], np.ndarray | None, list[np.ndarray], None], ids=str)
def test_annotations_that_say_nothing_here(annotation):
    assert kind_of(annotation) is None or annotation == list[np.ndarray]


# ---------------------------------------------------------------- a user's functions

def plain(flag=True, count=3, rate=0.5, text='a', sizes=(1, 2), table={}, other=None, *, hidden=1):
    """Function without type annotations."""


def broken(count: 'NoSuchName' = 3, **kwargs):  # noqa: F821
    """Annotation that cannot be resolved."""


def old_manner(count: int = None, array: np.ndarray = 3, **_rest):
    """Default that does not match its annotation; annotation unknown to this module."""


@pytest.mark.parametrize('function, name, good, bad, words', [
    (plain, 'flag', [False], [0], 'True or False'),
    (plain, 'count', [-5], [1.5, None], 'an integer'),
    (plain, 'rate', [-1, 2.5], ['x', None], 'a number'),
    (plain, 'text', ['', None], [3], 'None or a string'),
    (plain, 'sizes', [[], (3,)], [None], r'a list like \(1, 2\)'),
    (plain, 'table', [{1: 'x'}], [[]], 'a dict'),
    (plain, 'other', [None, 3, 'x'], [], 'anything'),
    (broken, 'count', [4], ['x'], 'an integer'),
    (old_manner, 'count', [None, 4], ['x'], 'an integer'),
    (old_manner, 'array', [4], ['x'], 'an integer'),
])
def test_without_an_annotation_the_default_tells(function, name, good, bad, words):
    option = options_of(function)[name]
    for value in good:
        check_value('own.it', value, option)
    for value in bad:
        with pytest.raises(ConfigError, match=f'own.it: expected {words}. Received: '):
            check_value('own.it', value, option)


def test_keyword_only_arguments_are_the_programs():
    assert options_of(plain)['hidden'].is_supplied and not options_of(plain)['hidden'].is_needed
    assert 'hidden' not in user_options(plain)


def test_defaults():
    def function(needed, given=1, left=2, passed: Supplied[int] = 3, *, config=4, **more):
        pass
    assert with_defaults(function, {'given': 5, 'new': 6}) == {'given': 5, 'left': 2, 'new': 6}
    assert options_of(function)['needed'].default is REQUIRED


def test_names_that_are_left_over():
    assert [rest_of(function) for function in (plain, broken, old_manner)
            ] == [None, 'kwargs', '_rest']


def test_things_without_a_signature():
    for thing in (math, 3):
        with pytest.raises((TypeError, ValueError)):
            options_of(thing)


def test_meanings():
    helps = argument_helps('One.\n\nArgs:\n    a, b: two\n        lines: of text.\n    c: '
                           'three.\n\nReturns:\n    d: no.')
    assert helps == {'a': 'two lines: of text.', 'b': 'two lines: of text.', 'c': 'three.'}


def test_a_checked_function():
    @checked('train')
    def half(number: Positive, *, config: Any = None):
        """Halve."""
        return number / 2, config

    assert half(3, config='c') == (1.5, 'c') and half(number=4) == (2, None)
    assert half.__doc__ == 'Halve.' and list(options_of(half)) == ['number', 'config']
    for call in (lambda: half(0), lambda: half(number=0)):
        with pytest.raises(ConfigError, match='^train.number: expected a number above 0'):
            call()
    with pytest.raises(TypeError, match='numbr'):
        half(numbr=3)
