"""A run's folder for the tests of reports."""
import pytest

from tests.support.report_inputs import write_run_folder


@pytest.fixture
def run_folder(in_tmp):
    """The folder made by `write_run_folder`, in 'results' in the current folder."""
    return write_run_folder(in_tmp / 'results')
