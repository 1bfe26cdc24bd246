"""Spelling is checked before TensorFlow starts; test_settings.py has the other checks."""
import re
import subprocess
import sys

import pytest

from pgan import settings
from pgan.definitions import option_names
from pgan.errors import ConfigError
from pgan.settings.checking import OWN_FUNCTIONS
from tests.support.golden import ROOT


@pytest.mark.parametrize('name', sorted(OWN_FUNCTIONS))
def test_spelling_is_checked_as_the_rest_is(name):
    """The message is the same with TensorFlow; options that the program supplies are left to it."""
    config = settings.load()
    section, own = getattr(config, name), OWN_FUNCTIONS[name]
    settings.check_spelling(config)
    legal = option_names(section.get('func', own) if name != 'dataset' else own)
    section[legal[0] + 'x'] = 1
    with pytest.raises(ConfigError, match=re.escape(f'Did you mean {legal[0]!r}')) as early:
        settings.check_spelling(config)
    with pytest.raises(ConfigError) as late:
        settings.check_config(config)
    assert str(early.value) == str(late.value)


@pytest.mark.parametrize('name', sorted(OWN_FUNCTIONS))
def test_values_are_checked_as_the_rest_is(name):
    """An early error has the words of the late one; few options have to wait for it."""
    own, late_only, early_too = OWN_FUNCTIONS[name], 0, 0
    for key in option_names(own if name == 'dataset' else
                            getattr(settings.load(), name).get('func', own)):
        for value in ('abc', -1.5, []):
            config = settings.load()
            getattr(config, name)[key] = value
            errors = [error_of(check, config)
                      for check in (settings.check_spelling, settings.check_config)]
            assert errors[0] in (None, errors[1]), (key, value)
            early_too += errors[0] is not None
            late_only += errors[0] is None and errors[1] is not None
    assert early_too >= late_only


@pytest.mark.parametrize('name, is_known', [
    ('swd', True), ('my_metrics.API', True), ('swdd', False), ('', False)])
def test_names_of_metrics_are_checked_as_the_rest_is(name, is_known):
    config = settings.load([], [f'train.metrics={[name]!r}'])
    error = error_of(settings.check_spelling, config)
    assert error == (None if is_known else error_of(settings.check_config, config))
    assert is_known or error.startswith('train.metrics: There is no metric')


def error_of(check, config):
    try:
        check(config)
    except ConfigError as error:
        return str(error)
    return None


def test_spelling_of_what_is_not_known_yet_is_left_alone():
    for assignment in ('G.func=mine.G', 'dataset.class_name=mine.Data', 'G.resolution=5',
                       'train.func=util_scripts.generate_fake_images', 'train.func=nonesuch.f'):
        config = settings.load((), [assignment, 'G.resolution=5'])
        if 'train.func' in assignment:
            config.train = config.EasyDict(func=config.train.func)
        settings.check_spelling(config)


@pytest.mark.parametrize('assignment, said', [
    ('sched.minibatch_bas=3', "Did you mean 'minibatch_base'?"),
    ('sched.minibatch_base=x', "an integer of at least 1. Received: 'x'")])
def test_misspelt_options_and_values_do_not_wait_for_tensorflow(assignment, said):
    program = ('import sys; from pgan import settings; config = settings.load((), '
               f'["{assignment}"])\ntry: settings.check_spelling(config)\n'
               'except Exception as error: print(error)\nassert "tensorflow" not in sys.modules')
    done = subprocess.run([sys.executable, '-c', program], cwd=ROOT, capture_output=True, text=True)
    assert said in done.stdout and done.returncode == 0, done.stderr
