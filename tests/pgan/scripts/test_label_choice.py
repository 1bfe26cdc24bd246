"""Classes given by name, in every script that takes labels."""
import os

import numpy as np
import pytest

from pgan.errors import ConfigError
from pgan.options import kind_of
from pgan.scripts.command_line import value_of
from pgan.scripts.label_choice import class_number
from pgan.scripts.option_checks import ClassLabel, Labels
from tests.support.script_inputs import (
    StandInNetwork,
    settings_of_run,
    write_labelled_data,
)
from util_scripts import generate_fake_images

NAMES = ('temple', 'Église', '1990', '0', 'Temple Hill', '-5', 'tower', '01', '1.5', 'rowS')
PKL = 'results/023-run/network-final.pkl'


@pytest.fixture
def named(use_network):
    """Network of run 23, with ten classes named in its data set."""
    net = use_network(StandInNetwork(4, [3, 8, 8], label_size=10))
    write_labelled_data(np.eye(10))
    with open('datasets/toy/toy-classes.txt', 'w', encoding='utf-8') as file:
        file.write('\n'.join(NAMES))
    return net


def number_of(label, net, where='train.labels'):
    return class_number(label, net, PKL, settings_of_run(), where)


@pytest.mark.parametrize('text, number', [
    ('temple', 0), ('TEMPLE', 0), ('Temple', 0), ('église', 1), ('E\u0301glise', 1), ('1990', 2),
    ('0', 0), ("'0'", 3), ('"0"', 3), ('3', 3), ('temple hill', 4), ('-5', 5), ('01', 7),
    ('1.5', 8), ('9', 9), ('rowS', 9)])
def test_a_class_by_number_or_name(text, number, named):
    for kind in (Labels, ClassLabel):
        value = value_of(text, kind_of(kind))
        assert kind_of(kind).holds(value) and number_of(value, named) == number


@pytest.mark.parametrize('label, hint', [('tempel', "Did you mean 'temple'?"), ('towr', "'tower'?"),
                                         ('row', "'rows'?"), ('zebra', 'temple, Église, 1990'),
                                         (1991, "'1990'?"), ('10', 'from 0 to 9')])
def test_a_name_that_does_not_exist(label, hint, named):
    with pytest.raises(ConfigError) as error:
        number_of(label, named)
    message = str(error.value)
    assert message.startswith('train.labels: ') and hint in message and repr(label) in message
    assert '\n' not in message


def test_capitals_count_where_names_differ_by_nothing_else(named):
    with open('datasets/toy/toy-classes.txt', 'w') as file:
        file.write('\n'.join(['ant', 'Ant', *'bcdefghi']))
    assert [number_of(name, named) for name in ('ant', 'Ant', 'B')] == [0, 1, 2]
    with pytest.raises(ConfigError, match="'ANT'"):
        number_of('ANT', named)


@pytest.mark.parametrize('trouble', ['no names', 'too few', 'no data set', 'no config.txt'])
def test_numbers_need_no_names(trouble, named):
    if trouble == 'too few':
        with open('datasets/toy/toy-classes.txt', 'w') as file:
            file.write('temple\n')
    else:
        os.rename(*{'no names': ('datasets/toy/toy-classes.txt', 'gone'),
                    'no data set': ('datasets', 'gone'),
                    'no config.txt': ('results/023-run/config.txt', 'gone')}[trouble])
    assert number_of(4, named) == 4
    with pytest.raises(ConfigError, match='names are not known: .*Received: .temple.'):
        number_of('temple', named)
    folder = generate_fake_images(23, labels='rows', grid_size=[1, 2], config=settings_of_run())
    assert 'rows.txt' not in os.listdir(folder)


def test_grids_show_the_class_of_that_name(named, capsys):
    generate_fake_images(23, labels='TOWER', grid_size=[2, 2], config=settings_of_run())
    assert (named.labels[0].argmax(axis=1) == 6).all()
    assert 'row 0' not in capsys.readouterr().out


def test_rows_are_named_beside_the_pictures(named, capsys):
    folder = generate_fake_images(23, labels='rows', grid_size=[2, 12], config=settings_of_run())
    expected = ''.join(f'row {row}: class {row % 10}, {NAMES[row % 10]}\n' for row in range(12))
    with open(f'{folder}/rows.txt', encoding='utf-8') as file:
        assert file.read() == expected
    assert expected in capsys.readouterr().out


@pytest.mark.parametrize('value', [-1, True, 1.5, '', [0]])
def test_what_is_no_class_at_all(value):
    for kind in (Labels, ClassLabel):
        assert not kind_of(kind).holds(value)
