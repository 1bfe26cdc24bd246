"""report.html of a run and the page of all runs, written again."""
import os
from typing import Any

import misc
from pgan.reporting.report import FILE, Report
from pgan.reporting.runs_index import RunsIndex
from pgan.scripts.option_checks import RunId
from pgan.scripts.script import script

ALL_RUNS = 60.0  # seconds for looking at all of them


@script
def write_report(run_id: RunId, *, config: Any = None) -> str:
    """Write a run's report.html again from what is in its folder, e.g. for a run of an older
    version, and index.html, the page of all runs.

    Args:
        run_id: the run's number, name or folder.
        config: as config.py; None = the module `config`. Gives result_dir.

    Returns:
        The page's path.

    Raises:
        DataError: there is no such run, or the page cannot be written.
    """
    folder = misc.locate_result_subdir(run_id, config.result_dir)
    Report(folder).write()
    RunsIndex(config.result_dir).refresh(folder, seconds=ALL_RUNS)
    return os.path.join(folder, FILE)
