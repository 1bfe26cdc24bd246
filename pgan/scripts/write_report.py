"""report.html of a run, made anew."""
import os
from typing import Any

import misc
from pgan.reporting.report import FILE, Report
from pgan.scripts.option_checks import RunId
from pgan.scripts.script import script


@script
def write_report(run_id: RunId, *, config: Any = None) -> str:
    """Write a run's report.html anew from what is in its folder, e.g. for a run of an older
    version.

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
    return os.path.join(folder, FILE)
