"""Results of worker processes, and killed workers."""
import math
import os

import pytest

from pgan.errors import UserError
from pgan.importers.celebahq.processes import in_processes


def test_results_of_processes():
    results = in_processes(math.factorial, range(4, 9), num_workers=2, num_ahead=1)
    assert sorted(results) == [(number, math.factorial(number)) for number in range(4, 9)]
    with pytest.raises(ValueError, match='math domain error'):
        list(in_processes(math.sqrt, [1, -1, 1], num_workers=1, num_ahead=2))
    before = os.environ.get('OPENBLAS_NUM_THREADS')
    with pytest.raises(UserError, match='a worker process was killed.*--num_threads 2'):
        list(in_processes(os._exit, [1], num_workers=4, num_ahead=1))
    assert os.environ.get('OPENBLAS_NUM_THREADS') == before
