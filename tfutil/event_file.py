"""The event file that TensorBoard reads."""
import sys
import time

import numpy as np
import tensorflow as tf
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.plugins.hparams import summary as hparams_summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter


class SummaryWriter:
    """A TensorBoard event file in a folder: scalars, images, histograms and the graph, in the plain
    form that every reader knows.
    """

    def __init__(self, folder):
        self._folder = folder
        self._writer = self._try(EventFileWriter, str(folder))

    def _try(self, action, *arguments):
        """Curves are not worth a run: if they cannot be written (a full disk), say so once and go
        on without.
        """
        try:
            return action(*arguments)
        except (OSError, tf.errors.OpError) as error:
            print('Warning: no more curves for TensorBoard, they cannot be written to '
                  f'{self._folder}: {error}', file=sys.stderr)
            self._writer = None

    def _write(self, event):
        if self._writer:
            self._try(self._writer.add_event, event)

    def _add(self, step, **value):
        self._write(
            _event(step, summary=summary_pb2.Summary(value=[summary_pb2.Summary.Value(**value)])))

    def scalar(self, tag, value, step):
        self._add(step, tag=tag, simple_value=float(value))

    def histogram(self, tag, values, step):
        """A histogram of an array, in 64 bins over its range."""
        values = np.asarray(values, np.float64).ravel()
        counts, edges = np.histogram(values, bins=64)
        self._add(
            step, tag=tag,
            histo=summary_pb2.HistogramProto(min=values.min(), max=values.max(), num=values.size,
                                             sum=values.sum(), sum_squares=np.square(values).sum(),
                                             bucket_limit=edges[1:], bucket=counts))

    def image(self, tag, data, width, height, step):
        """A picture, as the bytes of a PNG or JPEG file."""
        self._add(
            step, tag=tag, image=summary_pb2.Summary.Image(width=width, height=height, colorspace=3,
                                                           encoded_image_string=data))

    def hparams(self, values):
        """A run's options for the HPARAMS page: {name: value}; what is no number, boolean or text
        becomes text.
        """
        plain = {
            name: value if isinstance(value, (bool, int, float, str)) else str(value)
            for name, value in values.items()
        }
        # TensorFlow's class, where that is there
        content = hparams_summary.session_start_pb(plain).SerializeToString()
        self._write(_event(0, summary=summary_pb2.Summary.FromString(content)))

    def graph(self, graph_def):
        """A GraphDef."""
        self._write(_event(0, graph_def=graph_def.SerializeToString()))

    def flush(self):
        if self._writer:
            self._try(self._writer.flush)

    def close(self):
        if self._writer:
            self._try(self._writer.close)


def _event(step, **content):
    return event_pb2.Event(wall_time=time.time(), step=int(step), **content)
