"""Protocols for the types of pgan.training, which reporting must not import."""
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
        """Resolution at floor(lod), in pixels."""

    @property
    def minibatch(self) -> int:
        """Images per minibatch."""

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
        """Start of the phase, in thousands of images."""

    @property
    def end_kimg(self) -> float:
        """End of the phase, in thousands of images."""

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
        """Length of the phase, in thousands of images."""


class Run(Protocol):
    """A `pgan.training.loop.TrainingRun`."""

    @property
    def config(self) -> ModuleType:
        """The configuration."""

    @property
    def options(self) -> SimpleNamespace:
        """The training options, as attributes."""

    @property
    def training_set(self) -> Dataset:
        """The data set."""

    @property
    def held_out(self) -> Dataset | None:
        """Held-out images for validation; None = no images are held out."""

    @property
    def networks(self) -> Sequence[Network]:
        """G, D, Gs."""

    @property
    def devices(self) -> Devices:
        """The devices of the run."""

    @property
    def cur_nimg(self) -> int:
        """Images shown so far."""

    @property
    def path(self) -> str | None:
        """The result folder; None on workers other than the chief."""
