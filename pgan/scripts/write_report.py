"""report.html of a run, made anew."""
import os
from typing import Any

import misc
from pgan.options import checked
from pgan.reporting.report import FILE, Report
from pgan.scripts.option_checks import RunId


@checked('train')
def write_report(run_id: RunId, *, config: Any) -> str:
    """Write a run's report.html anew from what is in its folder, e.g. for a run of an older
    version.

    Args:
        run_id: the run's number, name or folder.
        config: the configuration's other values: result_dir.

    Returns:
        The page's path.

    Raises:
        DataError: there is no such run, or the page cannot be written.
    """
    folder = misc.locate_result_subdir(run_id, config.result_dir)
    Report(folder).write()
    return os.path.join(folder, FILE)
