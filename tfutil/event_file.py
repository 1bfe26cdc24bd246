"""Writer of TensorBoard event files."""
import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar import summary as layout_summary
from tensorboard.plugins.hparams import summary as hparams_summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from pgan.files import escaped


class SummaryWriter:
    """Writer of a TensorBoard event file in the basic format, which all readers support.

    Args:
        folder: folder of the file.
    """

    def __init__(self, folder: str | os.PathLike):
        self._folder = folder
        self._writer = self._try(EventFileWriter, str(folder))

    def _try(self, action, *arguments):
        """Call action(*arguments). If the file cannot be written, warn once and stop writing.

        A full disk must not end a run only because of its curves.
        """
        try:
            return action(*arguments)
        except (OSError, tf.errors.OpError) as error:
            print('Warning: no more curves for TensorBoard, as they cannot be written to '
                  f'{self._folder}: {error}', file=sys.stderr)
            self._writer = None

    def _write(self, event):
        if self._writer:
            self._try(self._writer.add_event, event)

    def _add(self, step, **value):
        summary = summary_pb2.Summary(value=[summary_pb2.Summary.Value(**value)])
        self._write(_event(step, summary=summary))

    def scalar(self, tag: str, value: float, step: int) -> None:
        """Add a point to a curve."""
        self._add(step, tag=tag, simple_value=float(value))

    def histogram(self, tag: str, values: np.ndarray, step: int) -> None:
        """Add a histogram of an array, with 64 bins over its range."""
        values = np.asarray(values, np.float64).ravel()
        counts, edges = np.histogram(values, bins=64)
        histogram = summary_pb2.HistogramProto(
            min=values.min(), max=values.max(), num=values.size, sum=values.sum(),
            sum_squares=np.square(values).sum(), bucket_limit=edges[1:], bucket=counts)
        self._add(step, tag=tag, histo=histogram)

    def image(self, tag: str, data: bytes, width: int, height: int, step: int,
              description: str = '') -> None:
        """Add a picture.

        Args:
            tag: its name.
            data: the bytes of a PNG or JPEG file.
            width, height: in pixels.
            step: its position on TensorBoard's slider.
            description: Markdown that TensorBoard shows on request.
        """
        metadata = summary_pb2.SummaryMetadata(summary_description=escaped(description))
        picture = summary_pb2.Summary.Image(width=width, height=height, colorspace=3,
                                            encoded_image_string=data)
        self._add(step, tag=tag, image=picture, metadata=metadata)

    def hparams(self, values: Mapping[str, Any]) -> None:
        """Add a run's options for the HPARAMS page.

        Args:
            values: options by name; values other than numbers and booleans are written as strings.
        """
        plain = {name: value if isinstance(value, (bool, int, float)) else escaped(str(value))
                 for name, value in values.items()}
        self._add_summary(hparams_summary.session_start_pb(plain))

    def layout(self, categories: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
        """Add the layout of the CUSTOM SCALARS page.

        Args:
            categories: {category: {title of a chart: regular expressions of its tags}}.
        """
        chart = lambda title, tags: layout_pb2.Chart(
            title=title, multiline=layout_pb2.MultilineChartContent(tag=tags))
        self._add_summary(layout_summary.pb(layout_pb2.Layout(category=[
            layout_pb2.Category(title=category, chart=[chart(*item) for item in charts.items()])
            for category, charts in categories.items()])))

    def _add_summary(self, summary):
        """Add a plugin's summary, which may be of TensorFlow's or of TensorBoard's class."""
        content = summary.SerializeToString()
        self._write(_event(0, summary=summary_pb2.Summary.FromString(content)))

    def graph(self, graph_def: tf.compat.v1.GraphDef) -> None:
        """Add a graph."""
        self._write(_event(0, graph_def=graph_def.SerializeToString()))

    def flush(self) -> None:
        """Write all pending events to the file."""
        if self._writer:
            self._try(self._writer.flush)

    def close(self) -> None:
        """Flush and close the file."""
        if self._writer:
            self._try(self._writer.close)


def _event(step, **content):
    return event_pb2.Event(wall_time=time.time(), step=int(step), **content)
