"""reporting/next_steps.py: the last lines printed by a finished run."""
import shlex

import pytest

import misc
from pgan import settings
from pgan.reporting.next_steps import next_steps
from pgan.scripts.command_line import assignments, parse_args


@pytest.mark.parametrize('folder', ['results/003-x', "my 'own' results/003-x $HOME", '003-x',
                                    './-x/004-*'])
def test_the_commands_name_the_run_wherever_it_is(in_tmp, folder):
    """The commands work as printed, in a folder whose config.py has another result_dir."""
    path = in_tmp / folder
    path.mkdir(parents=True)
    lines = next_steps(folder).splitlines()
    assert len(lines) <= 6 and f'{folder}/report.html' in lines[0]
    assert f'{folder}/network-final.pkl' in lines[1]
    commands = [shlex.split(line) for line in lines if line.startswith('    ')]
    assert [words[2] for words in commands] == ['generate_fake_images',
                                                'generate_interpolation_video']
    for words in commands:
        assert words[1].endswith('util_scripts.py')
        run_id = settings.load([], assignments(parse_args(words[2:]))).train.run_id
        assert path.samefile(misc.locate_result_subdir(run_id, 'elsewhere'))
