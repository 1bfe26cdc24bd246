"""Behaviour that all scripts share: they accept the original's calls."""
import os
import sys

import pytest

import misc
import tfutil
import util_scripts
from pgan.errors import DataError
from pgan.options import options_of
from tests.support.script_inputs import StandInNetwork, settings_of_run


@pytest.mark.parametrize('name', util_scripts.__all__)
def test_config_need_not_be_given(name):
    option = options_of(getattr(util_scripts, name))['config']
    assert option.default is None and option.is_supplied


def test_the_module_config_is_the_default(use_network, monkeypatch):
    use_network(StandInNetwork(4, [3, 8, 8]))
    monkeypatch.setitem(sys.modules, 'config', settings_of_run(desc='of-the-module'))
    util_scripts.generate_fake_images(23)
    util_scripts.generate_fake_images(run_id=23, config=settings_of_run(desc='given'))
    assert sorted(os.listdir('results')) == ['023-run', '024-of-the-module', '025-given']


SMALL = dict(num_channels=3, resolution=8, fmap_base=32, fmap_max=8)


@pytest.fixture(scope='module')
def networks():
    return (tfutil.Network('G', 'networks.G_paper', **SMALL),
            tfutil.Network('D', 'networks.D_paper', **SMALL))


@pytest.mark.parametrize('wrap', [
    lambda G, D: G, lambda G, D: (G, D, G), lambda G, D: [G, D, G], lambda G, D: {'Gs': G, 'x': 1}],
    ids=['alone', 'tuple', 'list', 'dict'])
def test_a_file_with_a_generator_will_do(wrap, networks, in_tmp):
    misc.save_pkl(wrap(*networks), 'network.pkl')
    folder = util_scripts.generate_fake_images('network.pkl', config=settings_of_run())
    assert [name for name in os.listdir(folder) if name.endswith('.png')]


@pytest.mark.parametrize(('wrap', 'words'), [
    (lambda G, D: (G, D), 'a tuple of 2'), (lambda G, D: D, "<Network 'D'"),
    (lambda G, D: (G, D, D), 'a tuple of 3'), (lambda G, D: {'G': G}, 'a dict of 1'),
    (lambda G, D: 7, 'a int')])
def test_a_file_without_a_generator_is_refused(wrap, words, networks, in_tmp):
    misc.save_pkl(wrap(*networks), 'network.pkl')
    with pytest.raises(DataError, match=f'holds no generator.*Received: {words}'):
        util_scripts.generate_fake_images('network.pkl', config=settings_of_run())
    assert os.listdir() == ['network.pkl']
