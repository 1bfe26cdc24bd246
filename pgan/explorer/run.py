"""The explored run: its generator, snapshots, classes and data set."""
import os
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

import misc
from dataset import Dataset
from pgan import settings
from pgan.errors import ConfigError, DataError, UserError
from pgan.explorer.painter import Snapshot
from pgan.scripts.generator import label_size, load_generator
from pgan.scripts.label_choice import class_names, label_of_seed, labels_to_draw_from

if TYPE_CHECKING:
    from tfutil import Network


class Run:
    """A run, or a single network pickle.

    Args:
        run_id, snapshot, config: see `pgan.scripts.generator.load_generator`.

    Attributes:
        Gs: the generator.
        path: path of its pickle.
        snapshots: the run's snapshots in training order; `look_for_snapshots` appends new ones.
        index: index of the snapshot that Gs was loaded from.
        classes: names of the classes, or 'class 0' and so on; [] without labels.

    Raises:
        DataError: there is no such run or snapshot.
    """

    def __init__(self, run_id: int | str, snapshot: int | str | None, config: ModuleType):
        self._config = config
        self.Gs, self.path = load_generator(run_id, snapshot, config)
        self._run_id = None if os.path.isfile(str(run_id)) else run_id
        self.snapshots: list[Snapshot] = []
        self.look_for_snapshots()
        if self.path not in [each.path for each in self.snapshots]:  # network-best.pkl
            self.snapshots.append(Snapshot.of(self.path))
        self.index = [each.path for each in self.snapshots].index(self.path)
        size = label_size(self.Gs)
        names, _ = class_names(self.path, size, config) if size else ([], '')
        self.classes = names or [f'class {number}' for number in range(size)]
        self._labels = labels_to_draw_from(self.Gs, self.path, config) if size else None

    def look_for_snapshots(self) -> None:
        """Append snapshots that a running run has saved since; existing indices do not change."""
        if self._run_id is None:
            return
        known = {each.path for each in self.snapshots}
        paths = misc.list_network_pkls(self._run_id, result_dir=self._config.result_dir)
        self.snapshots += [Snapshot.of(path) for path in paths if path not in known]

    @property
    def title(self) -> str:
        """Title of the page: name of the run's folder, or of the pickle."""
        return os.path.basename(self.path if self.is_pickle else self.folder)

    @property
    def folder(self) -> str:
        """The folder of the pickle."""
        return os.path.dirname(os.path.abspath(self.path))

    @property
    def is_pickle(self) -> bool:
        """Whether a single pickle is explored, not a run."""
        return self._run_id is None

    @property
    def projections_file(self) -> str:
        """Path of the file of projections: one for all snapshots of a run."""
        if self.is_pickle:
            return f'{os.path.splitext(self.path)[0]}-projections.npz'
        return os.path.join(self.folder, 'explorer-projections.npz')

    @property
    def command_words(self) -> list[str]:
        """The arguments by which other scripts find the same data and results."""
        changed = settings.set_outside(self._config)
        return [word for name in ('result_dir', 'data_dir') if name in changed
                for word in ('--set', settings.assignment(name, getattr(self._config, name)))]

    def label(self, seed: int, number: int | None) -> np.ndarray:
        """Label of an image, float32 [1, label size].

        Args:
            seed: seed of the label if `number` is None.
            number: the class; None = the label that the seed determines.

        Raises:
            ConfigError: there is no such class.
        """
        size = label_size(self.Gs)
        if number is None:
            return np.zeros([1, 0], np.float32) if self._labels is None else label_of_seed(
                self._labels, seed)
        if number >= size:
            raise ConfigError(f'Expected a class below {size}. Received: {number}.' if size else
                              'This network was trained without labels, so it has no classes. '
                              f'Received: class {number}.')
        return np.eye(size, dtype=np.float32)[[number]]

    def load_other(self, path: str) -> 'Network':
        """Load the generator of another snapshot."""
        return misc.load_generator(path, self._config)

    def discriminator(self) -> 'Network | None':
        """Load the discriminator of the same pickle; None if it holds none."""
        try:
            return misc.load_snapshot(self.path, self._config)[1]
        except DataError:
            return None

    def data_set(self) -> tuple[Dataset, bool]:
        """Load the run's data set: (data set, whether the run mirrored its images).

        Raises:
            UserError: it cannot be found or read.
        """
        return misc.load_dataset_for_previous_run(self.folder, self._config.result_dir,
                                                  self._config.data_dir, self._config)

    def has_data_set(self) -> bool:
        """Whether the run's data set can be opened and has the network's image shape."""
        try:
            data, _ = self.data_set()
            data.close()
        except UserError:
            return False
        return list(data.shape) == list(self.Gs.output_shape[1:])
