"""What reporting needs of the training room, which stands above it: protocols for annotations."""
from collections.abc import Sequence
from types import ModuleType, SimpleNamespace
from typing import Protocol

from dataset import Dataset
from tfutil import Network
from tfutil.devices import Devices


class Schedule(Protocol):
    """A `pgan.training.schedule.TrainingSchedule`."""

    @property
    def lod(self) -> float:
        """Level of detail."""

    @property
    def resolution(self) -> int:
        """Pixels of floor(lod)."""

    @property
    def minibatch(self) -> int:
        """Images a minibatch."""

    @property
    def G_lrate(self) -> float:
        """The generator's learning rate."""

    @property
    def D_lrate(self) -> float:
        """The discriminator's learning rate."""

    @property
    def tick_kimg(self) -> float:
        """Thousands of images between two progress reports."""


class Phase(Protocol):
    """A `pgan.training.phases.Phase`."""

    @property
    def start_kimg(self) -> float:
        """Where it begins."""

    @property
    def end_kimg(self) -> float:
        """Where it ends."""

    @property
    def first(self) -> Schedule:
        """The schedule at its beginning."""

    @property
    def last(self) -> Schedule:
        """The schedule just before its end."""

    @property
    def is_fading(self) -> bool:
        """Whether the networks fade from one lod to the next."""

    @property
    def kimg(self) -> float:
        """Its length in thousands of images."""


class Run(Protocol):
    """A `pgan.training.loop.TrainingRun`."""

    @property
    def config(self) -> ModuleType:
        """The configuration."""

    @property
    def options(self) -> SimpleNamespace:
        """The options of training, as attributes."""

    @property
    def training_set(self) -> Dataset:
        """The data set."""

    @property
    def held_out(self) -> Dataset | None:
        """Images that it does not train on."""

    @property
    def networks(self) -> Sequence[Network]:
        """G, D, Gs."""

    @property
    def devices(self) -> Devices:
        """Where it computes."""

    @property
    def cur_nimg(self) -> int:
        """Images shown so far."""

    @property
    def path(self) -> str | None:
        """The result folder; None on a machine that is not the chief."""
