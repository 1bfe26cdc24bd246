"""Rewriting report.html of a run and the page of all runs."""
import os
from typing import Any

import misc
from pgan.reporting.report import FILE, Report
from pgan.reporting.runs_index import RunsIndex
from pgan.scripts.option_checks import RunId
from pgan.scripts.script import script

ALL_RUNS = 60.0  # time limit for reading all runs, in seconds


@script
def write_report(run_id: RunId, *, config: Any = None) -> str:
    """Rewrite a run's report.html from the files in its folder, and index.html, the page of all
    runs.

    Use it, for example, for a run of an older version.

    Args:
        run_id: the run's number, name or folder.
        config: configuration like config.py; None = the module `config`. Uses result_dir.

    Returns:
        The page's path.

    Raises:
        DataError: there is no such run, or the page cannot be written.
    """
    folder = misc.locate_result_subdir(run_id, config.result_dir)
    Report(folder).write()
    RunsIndex(config.result_dir).refresh(folder, seconds=ALL_RUNS)
    return os.path.join(folder, FILE)
