"""settings/arguments.py: suggestions for unrecognized arguments."""
import shlex

import pytest

import train
from pgan import settings
from pgan.scripts import command_line


def said(parse, argv, capsys):
    """Return the error of a command line that cannot be parsed."""
    with pytest.raises(SystemExit) as end:
        parse(argv)
    assert end.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(('typed', 'meant'), [
    ('--total_kimg 5', '--set train.total_kimg=5'),
    ('--total_kimgs=5', '--set train.total_kimg=5'),
    ('--num_gpus=2', '--set num_gpus=2'),
    ('--gpus 2 --total-kimg 3', '--set num_gpus=2 --set train.total_kimg=3'),
    ('--use_wscale=False', '--set G.use_wscale=False --set D.use_wscale=False'),
    ('--D.use_wscal=False', '--set D.use_wscale=False'),
    ("--minibatch_dict '{4: 8}'", "--set 'sched.minibatch_dict={4: 8}'"),
    ('--metrics swd', """--set 'train.metrics=["swd"]'"""),
    ('train.total_kimg=5', '--set train.total_kimg=5'),
    ('--dataset.tfrecord_dir mine', '--set dataset.tfrecord_dir=mine'),
    ('configs/quickstart.py', '--config configs/quickstart.py'),
    ('--cifar10 bf16', '--use cifar10'),
    ('bf16', '--use bf16'),
    ('--use_bf16', '--use bf16'),
    ('--use-cond', '--use cond'),
    ('--preset-v2-2gpus', '--use preset-v2-2gpus'),
    ('--confg x.py', '--config x.py'),
    ('--dryrun', '--dry-run'),
])
def test_the_option_of_config_py_is_suggested_and_can_be_used(typed, meant, capsys):
    message = said(train.parse_args, shlex.split(typed), capsys)
    assert f'unrecognized arguments: {typed}' in message.replace('=', ' ') or '=' in typed
    suggested = message.strip().rpartition('Did you mean: ')[2]
    assert suggested == meant
    args = train.parse_args(shlex.split(suggested))
    if 'x.py' not in suggested and 'configs/' not in suggested:
        settings.load([], args.set, args.use)


@pytest.mark.parametrize('typed', ['--use_something', '--nothing_like_it 3', 'word'])
def test_where_nothing_is_near_it_says_how_options_are_set(typed, capsys):
    message = said(train.parse_args, typed.split(), capsys).partition('error: ')[2]
    assert 'set with --set NAME=VALUE' in message and 'Did you mean' not in message


def test_scripts_suggest_their_own_options(capsys):
    argv = ['generate_fake_images', '--run_id', '3', '--num_png_s', '4', '--use', 'cond']
    message = said(command_line.parse_args, argv, capsys)
    assert 'Did you mean: --num_pngs 4' in message and '--use cond.' in message


@pytest.mark.parametrize(('words', 'text'), [
    ('nearest --run_id 3 --num_images 4', 'Did you mean: --num 4'),
    ('nearest --run_id 3 --neighbours-each=2', 'Did you mean: --neighbours 2'),
    ('nearest --run_id 3 --numbers 4', 'see -h'),
])
def test_a_longer_name_of_an_option_is_answered_with_it(words, text, capsys):
    with pytest.raises(SystemExit):
        command_line.parse_args(words.split())
    assert text in capsys.readouterr().err
