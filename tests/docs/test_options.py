"""docs/options.md and docs/options-networks.md: what the functions declare, and nothing else."""
import re

import pytest

from docs import list_options
from pgan import settings
from tests.support.golden import ROOT


@pytest.mark.parametrize('name', list_options.PAGES)
def test_pages_are_up_to_date(name):
    text = (ROOT / 'docs' / name).read_text()
    assert text == list_options.write_page(name), 'run: .venv/bin/python docs/list_options.py'


def test_every_option_of_config_py_is_on_a_page():
    pages = '\n'.join((ROOT / 'docs' / name).read_text() for name in list_options.PAGES)
    listed = set(re.findall(r'\*\*`([\w.]+)`\*\*', pages))
    config = settings.load()
    for name in list_options.OWN_FUNCTIONS:
        shown = {'D_opt': 'G_opt'}.get(name, name)  # the same options
        assert {f'{shown}.{key}' for key in set(getattr(config, name)) - {'func'}} <= listed
    assert {name for _, sections in list_options.PAGES.values() for _, names in sections
            for name in names} == set(list_options.OWN_FUNCTIONS)
