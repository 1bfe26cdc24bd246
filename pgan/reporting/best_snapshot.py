"""network-best.pkl: the snapshot of a run with the best value of its first metric."""
import functools
import hashlib
import json
import math
import os
import shutil
from collections.abc import Mapping
from typing import Any, NamedTuple

from metrics import Judge
from misc.results import BEST
from pgan.files import atomic_path, atomic_write, to_json

NOTES = 'network-best.json'  # metadata of network-best.pkl


class Best(NamedTuple):
    """Metric and position of a run's best snapshot.

    Attributes:
        metric: name of the deciding value, e.g. 'SWDx1e3_avg'.
        higher_is_better: whether higher values of the metric are better.
        num_images: number of images that the metric was computed on. Values for other numbers are
            not comparable.
        value: value of the metric.
        kimg: thousands of images that the run had shown.
    """
    metric: str
    higher_is_better: bool
    num_images: int
    value: float
    kimg: float

    def __str__(self) -> str:
        return f'{self.metric} {self.value:.4f} at kimg {self.kimg:.1f}'

    def is_judged_by(self, judge: Judge) -> bool:
        """Whether this value is comparable with those of a judge."""
        return (self.metric, self.higher_is_better, self.num_images) == judge


class BestSnapshot:
    """Keeps network-best.pkl in a run's folder up to date.

    Args:
        folder: the run's folder.
        judge: the deciding value; None keeps no best snapshot.
    """

    def __init__(self, folder: str, judge: Judge | None):
        self.folder = folder
        self._judge = judge

    def consider(self, snapshot: str, values: Mapping[str, float], kimg: float) -> Best | None:
        """Make a snapshot the best one if its value is better than the best so far.

        NaN and infinity are never best. A previous value of another metric or another number of
        images is not comparable, and is replaced.

        Args:
            snapshot: path of the pickle, in the run's folder.
            values: {name: value} of the metrics.
            kimg: thousands of images that the run has shown.

        Returns:
            The new best; None if the previous one is kept.

        Raises:
            DataError: the files cannot be written; the previous best is intact.
        """
        if self._judge is None or not math.isfinite(values.get(self._judge.name, math.nan)):
            return None
        best = Best(*self._judge, values[self._judge.name], kimg)
        before = _entry_in_force(self.folder)
        if before is not None and not _beats(best, _best_of(before)):
            return None
        # Write the notes first. Until the pickle is replaced, its fingerprint matches the `before`
        # entry, so the pickle has a matching value even if the run is killed in between.
        entry = dict(best._asdict(), sha256=_fingerprint(snapshot))
        with atomic_write(os.path.join(self.folder, NOTES), 'w') as file:
            file.write(to_json(dict(entry, before=before), indent=1))
        with atomic_path(os.path.join(self.folder, BEST)) as temporary:
            _link_or_copy(snapshot, temporary)
        return best


def read_best(folder: str | os.PathLike) -> Best | None:
    """Read the metadata of a run's network-best.pkl; None if the file or its metadata is missing.
    """
    entry = _entry_in_force(folder)
    return None if entry is None else _best_of(entry)


def noted_best(folder: str | os.PathLike) -> Best | None:
    """Read the metadata of a run's network-best.pkl without checking its fingerprint.

    Fast, but after a crash the metadata may be one snapshot ahead of the pickle.
    """
    try:
        with open(os.path.join(folder, NOTES), encoding='utf-8') as file:
            return _best_of(json.load(file))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _beats(new, old):
    if not old.is_judged_by(Judge(*new[:3])):
        return True
    return new.value > old.value if new.higher_is_better else new.value < old.value


def _entry_in_force(folder) -> dict[str, Any] | None:
    """The entry of the notes whose fingerprint is that of network-best.pkl: the newest or the one
    before it; None if neither matches.
    """
    path = os.path.join(folder, BEST)
    try:
        with open(os.path.join(folder, NOTES), encoding='utf-8') as file:
            newest = json.load(file)
        entries = [newest, newest.pop('before')]
        found = _fingerprint(path)
        entry = next((entry for entry in entries if entry and entry['sha256'] == found), None)
        if entry is not None:
            _best_of(entry)
        return entry
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _best_of(entry):
    best = Best(*(entry[name] for name in Best._fields))
    return best._replace(value=float(best.value), kimg=float(best.kimg))


def _fingerprint(path):
    stat = os.stat(path)
    return _fingerprint_of(os.path.realpath(path), stat.st_ino, stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=4)  # The report needs it at each tick.
def _fingerprint_of(path, *_identity):
    with open(path, 'rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()


def _link_or_copy(path, new):
    """Hard-link a file, which takes no disk space; copy it where that is not supported.

    A link is safe, as snapshots are never modified, only replaced.
    """
    try:
        os.link(path, new)
    except OSError:
        shutil.copyfile(path, new)
