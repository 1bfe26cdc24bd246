"""settings/catalogue.py: `--list` and `--help` match config.py line by line."""
import os
import subprocess
import sys

import pytest

import train
from pgan.settings import catalogue
from tests.support.config_lines import option_names, source_lines, utility_lines
from tests.support.golden import ROOT


@pytest.fixture(scope='module')
def listing():
    done = subprocess.run([sys.executable, ROOT / 'train.py', '--list'], capture_output=True,
                          text=True, env={**os.environ, 'COLUMNS': '200'})
    assert done.returncode == 0 and not done.stderr
    return done.stdout


def options():
    return [option for section in catalogue.read() for option in section.options]


def test_every_option_and_every_utility_of_config_py_is_listed(listing):
    names = [option.name for option in options()]
    assert names[:len(option_names())] == option_names() and len(names) == len(
        option_names()) + len(utility_lines())
    for name in names:
        assert any(line.lstrip(' *').startswith(f'{name} ') for line in listing.splitlines()), name


def test_each_has_a_meaning_that_stands_in_config_py(listing):
    text = '\n'.join(source_lines())
    for option in options():
        assert len(
            option.meaning) >= 5 and option.meaning in text and option.meaning in listing, option


def test_code_is_the_lines_own(listing):
    lines = source_lines()
    for option in options():
        own, = [
            line for line in lines
            if f"'-{option.name}'" in line or f"desc = f'{option.name}-" in line
        ]
        assert option.code in own and option.is_active == (not own.startswith('#'))


def test_the_active_ones_are_marked(listing):
    marked = {line.split()[1] for line in listing.splitlines() if line.startswith(' * ')}
    assert marked == {'celebahq', 'preset-v2-1gpu', 'fp32'}


def test_a_line_of_the_users_own_appears():
    section, = catalogue.sections('# ' + '-' * 60 + '\n# Mine.\n#\n#   a, b   Two.\n\ndesc += '
                                                    "'-a';  x = 1\n#desc += '-c';  y = 2  # "
                                                    'Three.\n')
    assert section == ('Mine.', [('a', 'Two.', 'x = 1', True, 5, False),
                                 ('c', 'Three.', 'y = 2', False, 6, False)], False)


def test_ready_made_files_are_listed_with_what_they_are(listing):
    files = catalogue.ready_made()
    assert {path.name
            for path in (ROOT / 'configs').glob('*.py')
            } == {path.rpartition('/')[2]
                  for path in files}
    rows = [' '.join(line.split()) for line in listing.splitlines()]
    assert all(len(text) > 20 and f'{path} {text}' in rows for path, text in files.items())


def test_help_names_every_option(capsys):
    with pytest.raises(SystemExit):
        train.parse_args(['--help'])
    words = capsys.readouterr().out.replace(',', ' ').split()
    assert all(option.name in words for option in options())


def test_a_reader_that_goes_away_ends_it_quietly():
    done = subprocess.run(f'{sys.executable} {ROOT / "train.py"} --list | head -1', shell=True,
                          capture_output=True, text=True)
    assert done.stderr == '' and done.stdout.count('\n') == 1
