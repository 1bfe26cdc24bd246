"""Curves that cannot be written stop nothing."""
import os

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import tfutil
from tests.support.faults import file_size_limit


@pytest.mark.filterwarnings('ignore::pytest.PytestUnhandledThreadExceptionWarning')
@pytest.mark.parametrize('size', [0, 20, 2000])
def test_curves_that_cannot_be_written_stop_nothing(size, room, capsys):
    """TensorBoard's own thread writes the event file; the system refuses to let it grow."""
    with file_size_limit(size):
        writer = tfutil.SummaryWriter('.')
        for step in range(200):
            tfutil.autosummary('Loss/x', float(step))
            tfutil.save_summaries(writer, step)
        writer.histogram('w', np.arange(5.0), 200)
        writer.close()
    said = capsys.readouterr().err
    assert said.count('Warning: no more curves for TensorBoard') == 1
    for name in os.listdir():
        events = EventAccumulator(name)
        events.Reload()
        read = [(event.step, event.value) for event in events.Scalars('Loss/x')
                ] if 'Loss/x' in events.Tags()['scalars'] else []
        assert read == [(step, float(step)) for step in range(len(read))]
