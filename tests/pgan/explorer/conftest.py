"""Shared run for all tests of the explorer; tests must not modify it."""
import pytest

from tests.support.explorer_inputs import Browser, make_run, open_session


@pytest.fixture(scope='session')
def toy_run(tmp_path_factory):
    """Configuration with a run 3 that has snapshots, classes and a data set."""
    return make_run(tmp_path_factory.mktemp('explorer'))


@pytest.fixture(scope='module')
def browser(toy_run):
    """`Browser` of an explorer of the run."""
    session = open_session(toy_run)
    yield Browser(session)
    session.end()
