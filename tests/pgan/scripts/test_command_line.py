"""scripts/command_line.py: `python util_scripts.py SCRIPT ...` accepts the options of each
function, and runs it like config.py.
"""
import os
import shlex
import subprocess
import sys

import pytest
from PIL import Image

import misc
import util_scripts
from pgan.errors import ConfigError, DataError, UnknownFunctionError, UserError
from pgan.options import ANYTHING, REQUIRED, user_options
from pgan.scripts import command_line
from pgan.scripts.command_line import AUTOMATIC, assignments, find_scripts, parse_args
from pgan.scripts.seeds import seed_list
from pgan.settings import checking, load
from tests.support.golden import ROOT

MEASURE = ['--num_images', '10', '--real_passes', '1']


def comparable(options):
    """Options without their functions, which differ each time that a source is parsed."""
    return [(option.name, option.default, option.meaning, option.kind.words)
            for option in options.values()]


def test_what_is_read_from_the_source_is_what_the_functions_have():
    scripts = find_scripts()
    assert set(scripts) == set(util_scripts.__all__)
    for name, script in scripts.items():
        assert comparable(script.options) == comparable(user_options(getattr(util_scripts, name)))
        assert all(len(option.meaning) > 4 for option in script.options.values()), name


@pytest.mark.parametrize('name', sorted(util_scripts.__all__))
def test_help_tells_each_options_meaning_type_and_default(name, capsys):
    with pytest.raises(SystemExit) as end:
        parse_args([name, '--help'])
    said = ' '.join(capsys.readouterr().out.split())
    assert end.value.code == 0
    for option in find_scripts()[name].options.values():
        assert f'--{option.name}' in said and option.meaning in said
        assert option.kind is ANYTHING or option.kind.words in said
        default = None if option.name in AUTOMATIC else option.default
        assert option.default in (REQUIRED, None) or f'default: {default!r}' in said


def test_help_does_not_start_tensorflow():
    code = ("import runpy, sys; sys.argv = ['util_scripts.py', 'project_image', '-h']\ntry: "
            "runpy.run_path('util_scripts.py', run_name='__main__')\nexcept SystemExit: print('TF' "
            "if 'tensorflow' in sys.modules else 'light')")
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip().endswith('light'), done.stdout + done.stderr


def test_write_report_does_not_start_tensorflow(in_tmp):
    """It needs only files, which saves 6 seconds. The result path is the second last line."""
    os.makedirs('my results/003-x')
    code = (f"import sys; sys.path.insert(0, {str(ROOT)!r}); sys.argv[0] = 'util_scripts.py'\n"
            'from pgan.scripts.command_line import main\ncode = main(sys.argv[1:])\n'
            "print('TF' if 'tensorflow' in sys.modules else 'light', code)")
    done = subprocess.run([sys.executable, '-c', code, 'write_report', '--run_id', '3', '--set',
                           'result_dir=my results'], capture_output=True, text=True)
    assert done.stdout.splitlines() == ['Written: my results/003-x/report.html', 'Exiting...',
                                        'light 0'], done.stdout + done.stderr
    assert 'Stopped' in (in_tmp / 'my results/003-x/report.html').read_text()


def test_scripts_without_tensorflow_are_checked_as_the_others(in_tmp, capsys):
    os.makedirs('results/003-x')
    for argument, text in (('--set=train.run_di=3', "train.run_di is not an option. Did you mean "
                                                    "'run_id'?"), ('--run_id=7', 'for run 7')):
        with pytest.raises(SystemExit) as end:
            command_line.main(['write_report', '--run_id', '3', argument])
        assert end.value.code == 1 and text in capsys.readouterr().err
    assert os.listdir('results/003-x') == []


def configured(*argv):
    """Return the configuration of a command line."""
    return load([], assignments(parse_args(argv)))


def test_values():
    config = configured('generate_fake_images', '--run_id', '5', '--grid_size', '15', '8',
                        '--png_prefix', 'a b', '--labels', 'rows')
    assert config.train == dict(func='util_scripts.generate_fake_images', run_id=5,
                                grid_size=[15, 8], png_prefix='a b', labels='rows',
                                image_shrink=None)
    assert config.desc == 'fake-images-5-rows' and config.num_gpus == 1
    metrics = configured('evaluate_metrics', '--run_id', '005-x', '--log', 'metric-a.txt',
                         '--metrics', 'swd', 'fid', '--num_images', '100', '--real_passes', '2')
    assert metrics.train.run_id == '005-x' and metrics.train.metrics == [
        'swd', 'fid'
    ] and metrics.desc == 'evaluate-metrics-5'
    assert configured('evaluate_metrics', '--run_id', '1', '--log', 'l', '--metrics', 'swd',
                      '--num_images', '1', '--real_passes', '1').train.metrics == ['swd']
    assert configured('explore', '--pkl', 'a.pkl').train.run_id == 'a.pkl'
    config = configured('project_image', '--run_id', '5', '--image', '2018', '--num_steps', '7')
    assert config.train.image == '2018' and config.train.num_steps == 7
    config = configured('project_image', '--run_id', 'some/where/network-final.pkl', '--image',
                        'x y.png')
    assert config.desc == 'project-image-where-network-final-x y'
    assert config.train.image == 'x y.png'


@pytest.mark.parametrize(('typed', 'name'), [
    ('generate_fake_images --run_id 012-cats', 'fake-images-12'),
    ('generate_fake_images --run_id results/012-cats/', 'fake-images-12'),
    ('generate_fake_images --run_id other/012-cats', 'fake-images-012-cats'),
    ('generate_fake_images --run_id cats', 'fake-images-cats'),
    ('generate_fake_images --run_id 12 --snapshot None --random_seed 1000', 'fake-images-12'),
    ('generate_fake_images --run_id 12 --num_pngs 9 --grid_size 3x2', 'fake-images-12'),
    ('generate_fake_images --run_id 12 --snapshot 4000 --labels temple --random_seed 7',
     'fake-images-12-4000kimg-temple-seed-7'),
    ('generate_fake_images --run_id 12 --labels 3 --snapshot best', 'fake-images-12-best-class-3'),
    ('generate_interpolation_video --run_id 12 --labels rows', 'interpolation-video-12-rows'),
    ('nearest --run_id 12 --seeds 1-3,42', 'nearest-12-seeds-1-3,42'),
    ('nearest --run_id 12 --seeds 3 7 42', 'nearest-12-seeds-3,7,42'),
    ('nearest --run_id 12 --labels a/b', 'nearest-12-a-b'),
    ('project_image --run_id 12 --image in/my.cat.png --label 0',
     'project-image-12-class-0-my.cat'),
    ("project_image --run_id 12 --image 'in/caf\udce9.png'", 'project-image-12-caf-udce9'),
    ('generate_training_video --run_id 12 --duration_sec 3', 'training-video-12'),
])
def test_a_result_folder_is_named_by_what_is_chosen(typed, name):
    config = configured(*shlex.split(typed))
    assert config.desc == name
    checking._check_names(config)


def test_the_longest_names_fit(in_tmp):
    long = 'x' * 250
    config = configured('project_image', '--run_id', f'other/{long}', '--image', long, '--label',
                        long, '--snapshot', '4000', '--random_seed', '7')
    checking._check_names(config)
    assert config.desc.startswith('project-image-xxx') and config.desc.endswith('xxx')
    os.mkdir(f'999-{config.desc}')


def test_values_pass_the_checks_of_the_configuration():
    config = configured('generate_interpolation_video', '--run_id', '5', '--duration_sec', '2.5',
                        '--mp4', 'a.mp4')
    checking.check_config(config)
    with pytest.raises(ConfigError, match='train.duration_sec'):
        checking.check_config(
            configured('generate_interpolation_video', '--run_id', '5', '--duration_sec', 'long'))


@pytest.mark.parametrize('words, seeds', [
    (['1-3,42'], ['1-3,42']), (['3,7,42'], [3, 7, 42]), (['7'], [7]), (['1-3', '42'],
                                                                       ['1-3', 42]),
    (['[3, 7]'], [3, 7]), (['007'], ['007']),
])
def test_seeds(words, seeds):
    config = configured('generate_fake_images', '--run_id', '5', '--seeds', *words)
    checking.check_config(config)
    assert config.train.seeds == seeds and seed_list(seeds)


@pytest.mark.parametrize('script, words, text', [
    *(('generate_fake_images', ['--seeds', seeds], '--seeds: ')
      for seeds in ('1-', '5-2', 'x', '7,7', '1,,2', '-3')),
    ('generate_interpolation_video', ['--seeds', '3,7', '1-'], "'1-'"),
    ('generate_interpolation_video', ['--duration_sec', 'long'], '--duration_sec: '),
    ('project_image', ['--image', 'a.png', '--num_steps', '0'], '--num_steps: '),
    ('generate_training_video', ['--set', 'train.mp4_fsp=3'], "Did you mean 'mp4_fps'?"),
    ('write_report', ['--set', 'train.run_ids=3'], 'train.run_ids is not an option'),
    ('project_image', ['--image', 'tpyo.png'], "--image: there is no file 'tpyo.png'. Expected a "
                                               "picture. Did you mean 'typo.png'?"),
    ('project_image', ['--image', 'results'], "--image: 'results' is a folder"),
    ('generate_fake_images', ['--snapshot', '7'], "network pkl for snapshot 7 in 'results/005-x'"),
    ('generate_fake_images', ['--snapshot', 'best'], "snapshot 'best'"),
    ('nearest', ['--run_id', '4'], 'for run 4'),
    ('generate_training_video', ['--run_id', '4'], 'for run 4'),
    ('evaluate_metrics', ['--log', 'a.txt', '--metrics', 'fdi', *MEASURE],
     "--metrics: There is no metric 'fdi'. Did you mean 'fid'?"),
    ('evaluate_metrics', ['--log', 'a.txt', '--metrics', 'fid', *MEASURE],
     'no network-snapshot-*.pkl to evaluate'),
    ('evaluate_metrics', ['--log', 'a', '--metrics', 'fid', *MEASURE],
     "Did you mean --log 'a.txt'?"),
    ('generate_fake_images', ['--seeds', '1-3', '--grid_size', '3x2'],
     '--grid_size: cannot be combined with --seeds'),
    ('generate_interpolation_video', ['--seeds', '3'], '--seeds: expected at least two seeds'),
    ('generate_interpolation_video', ['--duration_sec', '.001'],
     '0.033 seconds at --mp4_fps 30. Received: 0.001'),
    ('generate_training_video', ['--mp4', 'out/film.gif'], "Did you mean --mp4 'film.mp4'?"),
])
def test_mistakes_are_found_before_tensorflow_starts(script, words, text, in_tmp, capsys,
                                                     monkeypatch):
    os.makedirs('results/005-x')
    for name in ('results/005-x/network-final.pkl', 'typo.png'):
        open(name, 'w').close()
    monkeypatch.setattr(command_line.launch, 'start', lambda *_: pytest.fail('it starts'))
    assert main(script, '--run_id', '5', *words) in (1, 2)
    said = capsys.readouterr().err
    assert text in said and 'Traceback' not in said


def test_sizes_are_chosen_unless_they_are_given():
    video = ('generate_interpolation_video', '--run_id', '5')
    assert {name: configured(*video).train[name] for name in AUTOMATIC} == dict.fromkeys(AUTOMATIC)
    config = configured(*video, '--image_zoom', '1', '--image_shrink', '3')
    checking.check_config(config)
    assert (config.train.image_zoom, config.train.image_shrink) == (1, 3)
    assert 'image_shrink' not in configured('project_image', '--run_id', '5', '--image',
                                            'a.png').train


def main(*argv):
    try:
        return command_line.main(argv)
    except SystemExit as end:
        return end.code
    finally:
        misc.restore_output()


@pytest.mark.parametrize('argv, text',
                         [(['generate_fake_image'], 'generate_fake_images'),
                          (['generate_fake_images'], '--run_id'),
                          (['generate_fake_images', '--run_id', '77'], '77'),
                          (['generate_fake_images', '--run_id', '0', '--num_pngs', 'many'
                            ], '--num_pngs: expected an integer of at least 1'), ])
def test_mistakes(toy, capsys, argv, text):
    assert main(*argv) in (1, 2)
    said = capsys.readouterr().err
    assert text in said and 'Traceback' not in said and not os.path.exists('results')


def test_a_script_of_a_run_from_its_beginning_to_its_end(toy):
    """In a subprocess, on a pickle of untrained networks."""
    import tfutil
    G = tfutil.Network('G', 'networks.G_paper', num_channels=3, resolution=8, fmap_base=32,
                       fmap_max=8)
    os.makedirs('results/003-toy')
    misc.save_pkl((G, G, G), 'results/003-toy/network-final.pkl')
    done = subprocess.run([
        sys.executable, ROOT / 'util_scripts.py', 'generate_fake_images', '--run_id', '3',
        '--grid_size', '4', '2', '--num_pngs', '2', '--set', 'desc=mine'
    ], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert Image.open('results/004-mine/003-toy-network-final-000001.png').size == (32, 16)
    assert {'_done.txt', 'config.txt', 'environment.json',
            'log.txt'} < set(os.listdir('results/004-mine'))


@pytest.mark.parametrize('typed', ['15 8', '15x8', '15X8', '15 x 8', '15,8', "'15, 8'", "'[15, 8]'",
                                   "'15 × 8'", '[15,8]', '(15,8)'])
def test_a_pair_of_sizes_is_taken_in_every_usual_form(typed):
    for script in ('generate_fake_images', 'generate_interpolation_video'):
        config = configured(script, '--run_id', '5', '--grid_size', *shlex.split(typed))
        assert config.train.grid_size == [15, 8]


@pytest.mark.parametrize('typed', ['swd msssim', 'swd,msssim', 'swd, msssim', "'swd, msssim'",
                                   "\"['swd', 'msssim']\"", '[swd,msssim]', 'swd;msssim'])
def test_a_list_of_names_is_taken_in_every_usual_form(typed):
    typed = shlex.split(typed)
    config = configured('evaluate_metrics', '--run_id', '1', '--log', 'l', '--metrics', *typed,
                        '--num_images', '1', '--real_passes', '1')
    assert config.train.metrics == ['swd', 'msssim']


@pytest.mark.parametrize('typed', ['15', '15x', '0x8', '15x8x3', '-1 8', '1.5 8', 'wide'])
def test_what_is_no_pair_of_sizes_is_explained(typed, in_tmp, capsys):
    assert main('generate_fake_images', '--run_id', '5', '--grid_size', *typed.split()) in (1, 2)
    said = capsys.readouterr().err
    assert 'two integers of at least 1' in said and '15x8' in said or 'expected one' in said


def test_a_pair_of_sizes_in_set(toy, capsys, monkeypatch):
    seen = []
    monkeypatch.setattr(command_line.launch, 'start', seen.append)
    os.makedirs('results/005-x')
    open('results/005-x/network-final.pkl', 'w').close()
    assert main('generate_fake_images', '--run_id', '5', '--set', 'train.grid_size=3x2') == 0
    assert seen[0].train.grid_size == [3, 2]


ERRORS = [UserError, ConfigError, DataError, misc.results.MissingDataSetError,
          lambda text: UnknownFunctionError(text, 'a.b')]


@pytest.mark.parametrize('kind', ERRORS)
def test_an_error_of_any_room_names_options_as_they_were_typed(kind, in_tmp, capsys, monkeypatch):
    """Options of config.py that the script lacks, or that --set has set, are kept."""
    os.makedirs('results/005-x')
    monkeypatch.setattr(command_line, '_run_alone', lambda *_: stop())
    monkeypatch.setattr(command_line.launch, 'start', lambda *_: stop())

    def stop():
        raise kind(' '.join(f'train.{name}: a train.{name}=3 b train.{name} = 4;'
                            for name in names) + ' train.total_kimg, mytrain.run_id '
                   'train.train_progressive_gan dataset.validation --set train.run_id=5')
    scripts = find_scripts()
    for script in scripts.values() if kind is DataError else [scripts['write_report']]:
        names = [*script.options]
        required = [f'--{name}={VALID[name]}' for name, option in script.options.items()
                    if option.default is REQUIRED]
        open('a.png', 'w').close()
        for name in ('network-snapshot-000001.pkl', 'network-final.pkl'):
            open(f'results/005-x/{name}', 'w').close()
        assert main(script.name, *required) == 1
        said = capsys.readouterr().err
        for name in names:
            assert f'--{name}: a --{name} 3 b --{name} 4;' in said
        assert said.endswith(' train.total_kimg, mytrain.run_id train.train_progressive_gan '
                             'dataset.validation --set train.run_id=5\n')
    assert main('write_report', '--set', 'train.run_id=5', '--run_id', '5') == 1
    assert 'train.run_id: a train.run_id=3' in capsys.readouterr().err


VALID = dict(run_id='5', image='a.png', log='a.txt', metrics='swd', num_images='4',
             real_passes='1')


def test_what_need_not_wait_for_tensorflow_does_not_import_it(in_tmp):
    """In one process, so that its modules can be inspected."""
    os.makedirs('results/005-x')
    open('a.png', 'w').close()
    typos = [['generate_fake_images', '--run_id=7'], ['project_image', '--run_id=5', '--image=b'],
             ['evaluate_metrics', '--run_id=5', '--log=a.txt', '--metrics=fdi', '--num_images=1',
              '--real_passes=1'], ['nearest', '--run_id=5', '--snapshot=3']]
    code = (f"import sys; sys.path.insert(0, {str(ROOT)!r}); sys.argv[0] = 'util_scripts.py'\n"
            'from pgan.scripts.command_line import main\n'
            f'for words in {typos!r}:\n'
            '    try: main(words)\n'
            "    except SystemExit as end: assert end.code == 1\n"
            "    assert 'tensorflow' not in sys.modules")
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr.count('error: ') == len(typos), done.stderr
