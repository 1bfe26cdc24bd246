"""Results of worker processes, and workers that are killed."""
import math
import os

import pytest

from pgan.errors import UserError
from pgan.importers.celebahq.processes import in_processes


def test_results_of_processes():
    assert sorted(in_processes(math.factorial, range(4, 9), 2,
                               1)) == [(number, math.factorial(number)) for number in range(4, 9)]
    with pytest.raises(ValueError, match='math domain error'):
        list(in_processes(math.sqrt, [1, -1, 1], 1, 2))
    before = os.environ.get('OPENBLAS_NUM_THREADS')
    with pytest.raises(UserError, match='a worker process was killed.*--num_threads 2'):
        list(in_processes(os._exit, [1], 4, 1))
    assert os.environ.get('OPENBLAS_NUM_THREADS') == before
