"""The event file, as TensorBoard reads it. Curves that cannot be written do not stop a run."""
import os

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout

import tfutil
from tests.support.faults import file_size_limit


@pytest.mark.filterwarnings('ignore::pytest.PytestUnhandledThreadExceptionWarning')
@pytest.mark.parametrize('size', [0, 20, 2000])
def test_curves_that_cannot_be_written_stop_nothing(size, room, capsys):
    """TensorBoard's own thread writes the event file; a limit on file size makes it fail."""
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


@pytest.mark.parametrize('description', ['row 0: class 0, ant\n', '', 'a \udcff b', '<b>&'])
def test_pictures_have_descriptions_and_charts_an_order(description, in_tmp):
    writer = tfutil.SummaryWriter('.')
    writer.layout({'First': {'scores': ['Loss/a', 'Loss/b.*']}, 'Second': {}})
    writer.image('fakes', b'not read', 3, 4, 7, description)
    writer.close()
    events = EventAccumulator('.')
    events.Reload()
    layout = Layout.FromString(events.Tensors('custom_scalars__config__')[0]
                               .tensor_proto.string_val[0])
    first, second = layout.category
    assert (first.title, second.title, len(second.chart)) == ('First', 'Second', 0)
    assert (first.chart[0].title, list(first.chart[0].multiline.tag)) == (
        'scores', ['Loss/a', 'Loss/b.*'])
    assert events.Images('fakes')[0].encoded_image_string == b'not read'
    said = events.SummaryMetadata('fakes').summary_description
    assert said == description.replace('\udcff', r'\udcff')
