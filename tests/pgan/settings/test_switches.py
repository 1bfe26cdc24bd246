"""settings/switches.py: switching config.py's lines by name, contradictory lines, and the names in
config.py itself.
"""
import pytest

from pgan import settings
from pgan.errors import ConfigError
from pgan.settings import catalogue, listing, switches
from tests.support.config_lines import flat, namespace, source_lines

TEXT = '\n'.join(source_lines())


def uncommented(*names):
    """config.py's text as edited by hand, with nothing commented out."""
    return '\n'.join(line[1:] if line.startswith(tuple(f"#desc += '-{name}';" for name in names))
                     else line for line in source_lines())


@pytest.fixture
def edited(tmp_path, monkeypatch):
    """Replace config.py's text: edited(text)."""
    path = tmp_path / 'config.py'
    monkeypatch.setattr(catalogue, 'CONFIG_PY', path)
    return path.write_text


# ------------------------------------------------------------ by name

@pytest.mark.parametrize(('use', 'options', 'data'), [
    (['cond,grpc,bf16'], ('cond', 'grpc', 'bf16'), 'celebahq'),
    (['cifar10'], (), 'cifar10'),
    (['preset-v2-8gpus', 'lsun-cat, fp16'], ('preset-v2-8gpus', 'fp16'), 'lsun-cat'),
    (['-nogrowing', 'SWD,-g4k', 'SWD'], ('nogrowing', 'SWD', 'g4k'), 'celebahq'),
    (['VERBOSE,BENCHMARK'], ('BENCHMARK', 'VERBOSE'), 'celebahq'),
    (['celebahq,fp32'], (), 'celebahq'),
], ids=str)
def test_lines_by_name_are_those_of_the_file_edited_by_hand(use, options, data):
    config = settings.load([], [], use)
    assert flat(settings.values(config)) == flat(namespace(*options, dataset=data))
    assert list(config.train) == list(namespace(*options, dataset=data)['train'])
    given = {name.strip(' -') for text in use for name in text.split(',')}
    assert set(settings.used_lines(config)) == given


def test_a_later_choice_replaces_an_earlier_one():
    """As --resume does, with its own choice on top of those of the original run."""
    config = settings.load([], [], ['bf16', 'cond'], ['fp16'])
    assert (config.G.dtype, config.desc) == ('float16', 'pgan-celebahq-cond-preset-v2-1gpu-fp16')
    assert settings.used_lines(config) == ['cond', 'fp16']


def test_files_and_assignments_come_after_them(tmp_path):
    override = tmp_path / 'mine.py'
    override.write_text("desc += '-mine'\nnum_gpus = 3\n")
    config = settings.load([override], ['grid.size=1080p'], ['g4k', 'preset-v2-2gpus'])
    assert (config.num_gpus, config.grid.size) == (3, '1080p')
    assert config.desc == 'pgan-celebahq-g4k-preset-v2-2gpus-fp32-mine'


@pytest.mark.parametrize(('use', 'message'), [
    ('fp16,bf16', "'-fp16' and '-bf16' exclude each other.*'Numerical precision: choose one'"),
    ('mnist,svhn', "'-svhn' and '-mnist' exclude each other"),
    ('preset-v2-2gpus,preset-v2-4gpus', 'exclude each other'),
    ('cond,cond1', r"line 116 \('-cond'\) and line 117 \('-cond1'\).*dataset.max_label_size"),
    ('syn1024rgb,cond', r"line 81 \('-syn1024rgb'\) and line 116 \('-cond'\) are both active.*"
     "dataset.SyntheticDataset does not take 'dataset.max_label_size'"),
    ('cond1,syn1024rgb', r"\('-syn1024rgb'\) and line 117 \('-cond1'\)"),
    ('BENCHMARK,BENCHMARK0', 'both set sched.lod_initial_resolution'),
    ('nogrowing,BENCHMARK', 'both set sched.lod_initial_resolution'),
    ('cifar-10', "no line of that name. Did you mean 'cifar10'"),
    ('benchmark', "Did you mean 'BENCHMARK'"), ('FP16', "Did you mean 'fp16'"),
    ('', 'no line of that name.*--list'), ('fid-50k', 'needs the number of a run'),
])
def test_names_that_cannot_be_used(use, message):
    with pytest.raises(ConfigError, match=message):
        settings.load([], [], [use])


def test_lines_keep_their_numbers(edited):
    edited(TEXT.replace("dataset.max_label_size = 'full' ", "dataset.max_label_size = 1 / 0 "))
    settings.load()
    with pytest.raises(ConfigError, match=r"line 116: .desc \+= '-cond'.*ZeroDivisionError"):
        settings.load([], [], ['cond'])


# ------------------------------------------------------------ contradictions in the file

@pytest.mark.parametrize(('names', 'message'), [
    (['preset-v2-4gpus'], r"line \d+ \('-preset-v2-1gpu'\) and line \d+ \('-preset-v2-4gpus'\) are "
     "both active, but 'Preset: choose one' allows only one. Comment out"),
    (['bf16'], r"\('-fp32'\) and line \d+ \('-bf16'\)"),
    (['mnist'], r"\('-celebahq'\) and line \d+ \('-mnist'\)"),
    (['cond', 'cond1'], 'exclude each other'),
    (['nogrowing', 'BENCHMARK'], 'exclude each other'),
])
def test_contradictions_name_both_lines(names, message, edited):
    edited(uncommented(*names))
    with pytest.raises(ConfigError, match=f'(?s)config.py: .*{message}'):
        settings.load()


def test_two_utilities_contradict_each_other(edited):
    edited(TEXT.replace('#train = EasyDict(func=', 'train = EasyDict(func=', 2))
    with pytest.raises(ConfigError, match=r"\('-fake-images'\) and line \d+ \('-fake-grids'\)"):
        settings.load()


@pytest.mark.parametrize('names', [
    ['cond', 'grpc', 'g4k', 'SWD', 'VERBOSE', 'HIST'], ['BENCHMARK', 'VERBOSE'],
    ['nogrowing', 'BENCHMARK0'], ['VERBOSE', 'SWD', 'HIST'],
    ['nowscale', 'nopixelnorm', 'norepeat']], ids=str)
def test_lines_that_go_together(names, edited):
    edited(uncommented(*names))
    assert all(f'-{name}' in settings.load().desc for name in names)


def test_a_choice_from_outside_solves_a_contradiction(edited):
    edited(uncommented('fp16', 'bf16'))
    assert settings.load([], [], ['fp16']).desc.endswith('-preset-v2-1gpu-fp16')


def test_lines_of_an_editor_that_comments_with_a_blank_and_of_other_quotes(edited):
    text = TEXT.replace("#desc += '-cond'; ", '# desc += "-cond" ;')
    edited(text.replace("desc += '-fp32';", "# desc += '-fp32';").replace('#desc += \'-bf16\'',
                                                                         "desc += '-bf16'"))
    assert settings.load([], [], ['cond']).desc == 'pgan-celebahq-cond-preset-v2-1gpu-bf16'


@pytest.mark.parametrize(('names', 'use', 'starred', 'said'), [
    ([], [], ['celebahq', 'preset-v2-1gpu', 'fp32'], ''),
    ([], ['mnist,cond'], ['mnist', 'cond', 'preset-v2-1gpu', 'fp32'], ''),
    (['preset-v2-4gpus'], [], ['celebahq', 'preset-v2-4gpus', 'fp32'],
     'This selection cannot be used'),
], ids=str)
def test_the_list_stars_what_is_in_force(names, use, starred, said, edited, capsys):
    edited(uncommented(*names))
    listing.print_catalogue(use)
    out = capsys.readouterr().out
    assert [line.split()[1] for line in out.splitlines() if line.startswith(' * ')] == starred
    assert said in out and ('cannot be used' in out) == bool(said)


def test_the_list_tells_lines_apart():
    meanings = [(section.title, option.meaning, option.code.partition(';')[0])
                for section in catalogue.read() for option in section.options]
    texts = [meaning for title, meaning, _ in meanings if not title.startswith('Data set')]
    assert len(set(texts)) == len(texts)


# ------------------------------------------------------------ names of config.py itself

@pytest.mark.parametrize(('line', 'message'), [
    ('num_gpu = 2', "config.py sets 'num_gpu', which .* Did you mean 'num_gpus'"),
    ('total_kimg = 5', "Did you mean 'train.total_kimg'"),
    ('fmap_base = 5', "Did you mean 'G.fmap_base' or 'D.fmap_base'"),
    ("Dataset = EasyDict(tfrecord_dir='x')", "config.py sets 'Dataset'.*Did you mean 'dataset'"),
    ('seed = 4', "Did you mean 'random_seed'"),
    ('for i in range(3): pass', 'call it _i'),
    ('del grid', "config.py does not set 'grid', which the program needs"),
])
def test_misspelt_names_in_config_py(line, message, edited):
    edited(f'{TEXT}\n{line}\n')
    with pytest.raises(ConfigError, match=message):
        settings.load()


def test_names_of_the_users_own_in_config_py(edited):
    edited(f'{TEXT}\nimport math\nfrom math import pi\nimport os.path as paths\n_half = pi / 2\n'
           'def scale(x):\n    return 2 * x\nclass Mine:\n    pass\nshorter = lambda: 3\n'
           'num_gpus = scale(shorter())\n')
    config = settings.load()
    assert config.num_gpus == 6
    assert set(settings.values(config)) == settings.checking.NAMES


def test_switching_changes_no_other_line():
    changed = switches.choose(TEXT, ['mnist', 'cond']).split('\n')
    assert [after for before, after in zip(source_lines(), changed, strict=True)
            if before != after] == [
        next(f'#{line}' for line in source_lines() if line.startswith("desc += '-celebahq'")),
        *(line[1:] for line in source_lines()
          if line.startswith(("#desc += '-mnist'", "#desc += '-cond'")))]
