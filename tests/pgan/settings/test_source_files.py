"""Configuration files are decoded as Python decodes sources; `~` in paths is the home folder."""
import codecs

import numpy as np
import pytest

import dataset
import misc
from misc import results
from pgan import settings
from pgan.data.writer import TFRecordExporter
from pgan.errors import ConfigError
from pgan.settings import catalogue, loading
from tests.support.data_inputs import write_dataset

TEXT = "desc = 'grün'\ntrain.total_kimg = 1\n"


@pytest.mark.parametrize('content', [
    TEXT.encode(),
    codecs.BOM_UTF8 + TEXT.encode(),
    codecs.BOM_UTF8 + ('# coding: utf-8\n' + TEXT).encode(),
    ('# -*- coding: cp1252 -*-\n' + TEXT).replace('\n', '\r\n').encode('cp1252'),
    ('#!/usr/bin/python\n# vim: set fileencoding=koi8-r :\n' + TEXT.replace('ü', 'ж')).encode(
        'koi8-r')], ids=['utf-8', 'bom', 'bom and cookie', 'cookie', 'cookie in line 2'])
def test_files_that_python_reads_are_read(in_tmp, content, monkeypatch):
    (in_tmp / 'mine.py').write_bytes(content)
    config = settings.load(['mine.py'])
    assert config.desc in ('grün', 'grжn') and config.train['total_kimg'] == 1
    # config.py and the ready-made files are read in the same way
    monkeypatch.setattr(catalogue, 'CONFIG_PY', in_tmp / 'mine.py')
    assert catalogue.read() == [] and list(catalogue.ready_made(in_tmp)) == [
        f'{in_tmp.name}/mine.py']


@pytest.mark.parametrize('content', [
    TEXT.encode('utf-16'), TEXT.encode('utf-16-le'), TEXT.encode('utf-32'), TEXT.encode('cp1252'),
    b'# coding: no-such\n' + TEXT.encode(), codecs.BOM_UTF8 + b'# coding: latin-1\n'])
def test_files_that_it_cannot_read_are_to_be_saved_as_utf8(in_tmp, content):
    (in_tmp / 'mine.py').write_bytes(content)
    with pytest.raises(ConfigError, match=r'mine.py is not a Python file.*save it as UTF-8'):
        settings.load(['mine.py'])


@pytest.mark.parametrize('content, names', [
    (b'# -*- coding: klingon -*-\n' + TEXT.encode(), "the comment that names the encoding 'kl"),
    (codecs.BOM_UTF8 + b'#!/x\n# coding: latin-1\n', "the comment that names the encoding 'lat"),
    (TEXT.encode('cp1252'), "('Encoding' or 'Save as')."),
    (TEXT.encode('utf-32'), 'it is UTF-32.')])
def test_what_has_to_be_saved_otherwise(in_tmp, content, names):
    (in_tmp / 'mine.py').write_bytes(content)
    with pytest.raises(ConfigError) as error:
        settings.load(['mine.py'])
    assert names in str(error.value)


# ---------------------------------------------------------------- the home folder


@pytest.fixture
def home(in_tmp, monkeypatch):
    """Home folder with a data set; the current folder is a different one."""
    (in_tmp / 'home').mkdir()
    (in_tmp / 'here').mkdir()
    monkeypatch.setenv('HOME', str(in_tmp / 'home'))
    monkeypatch.chdir(in_tmp / 'here')
    images = [np.full([3, 4, 4], i, np.uint8) for i in range(4)]
    write_dataset(in_tmp / 'home' / 'ds', images, np.eye(4, dtype=np.float32))
    return in_tmp / 'home'


@pytest.mark.parametrize('path', ['~no-such-user/results', '~no-such-user'])
def test_no_folder_is_named_by_a_tilde(home, path):
    config = settings.load((), [f'result_dir={path}'])
    with pytest.raises(ConfigError, match='result_dir: .* a user who does not exist'):
        settings.check_spelling(config)
    settings.check_spelling(settings.load((), [f'result_dir=./{path}']))


def test_every_path_of_a_configuration(home):
    (home / 'mine.py').write_text("data_dir = '~/data'\ndataset.label_file = '~/a.npy'\n"
                                  "train.resume_run_id = '~/runs/3'\ndesc = '~'\n")
    config = settings.load(['~/mine.py'], [
        'result_dir=~/results', 'dataset.tfrecord_dir=~', "train.image='~/picture.png'",
        'env.FLAGS=~/x', "G.file='~no-such-user/x'"])
    assert config.data_dir == f'{home}/data' and config.result_dir == f'{home}/results'
    assert config.dataset == dict(tfrecord_dir=str(home), label_file=f'{home}/a.npy')
    assert config.train['resume_run_id'] == f'{home}/runs/3'
    assert config.train['image'] == f'{home}/picture.png'
    # not paths, or no such user
    assert (config.desc, config.env['FLAGS'], config.G['file']) == ('~', '~/x', '~no-such-user/x')
    assert settings.command_line(config)[0] == [f'{home}/mine.py']


def test_every_path_of_a_python_program(home):
    data = dataset.TFRecordDataset('~/ds', label_file='~/ds/ds-rxx.labels',
                                   max_label_size='full')
    assert data.num_images == 4
    assert dataset.load_dataset(data_dir='~', tfrecord_dir='ds').num_images == 4
    assert dataset.load_dataset(data_dir='x', tfrecord_dir='~/ds').num_images == 4
    with TFRecordExporter('~/made', 1, print_progress=False) as exporter:
        exporter.add_image(np.zeros([3, 4, 4], np.uint8))
    run = misc.create_result_subdir('~/results', 'x', dict(dataset=dict(tfrecord_dir='~/ds')))
    assert run == f'{home}/results/000-x'
    misc.save_pkl([1], '~/results/000-x/network-final.pkl')
    assert misc.load_pkl('~/results/000-x/network-final.pkl') == [1]
    for run_id, folder in (('~/results/000-x', 'x'), (0, '~/results'), ('000', '~/results')):
        assert misc.locate_result_subdir(run_id, folder) == run
        assert misc.locate_network_pkl(run_id, None, folder) == f'{run}/network-final.pkl'
        assert misc.load_dataset_for_previous_run(run_id, folder)[0].num_images == 4
    assert results.locate_network_pkl('~/results/000-x/network-final.pkl').startswith(str(home))
    misc.save_image(np.zeros([3, 4, 4], np.uint8), '~/a.png', [0, 255])
    assert sorted(path.name for path in home.iterdir()) == ['a.png', 'ds', 'made', 'results']
    assert not list((home.parent / 'here').iterdir())  # no folder named ~


def test_a_file_that_is_called_tilde_can_be_named(home):
    assert loading.expanded('./~/x') == './~/x'
