"""explorer/worker.py, cache.py, tasks.py and painter.py: batches, order, cancellation, errors,
limits, memory.
"""
import gc
import threading
import time
import weakref

import numpy as np
import pytest

import misc
from pgan.errors import DataError
from pgan.explorer import tasks as tasks_module
from pgan.explorer import worker as worker_module
from pgan.explorer.cache import ByteCache
from pgan.explorer.painter import Painter, Snapshot
from pgan.explorer.recipes import Point
from pgan.explorer.tasks import Cancelled, Task, Tasks, TooMany
from pgan.explorer.worker import Abandoned, Busy, View, Worker
from tests.support.explorer_inputs import random_generator


def point(number):
    return Point(np.array([[number]], np.float32), np.zeros([1, 0], np.float32))


class Studio:
    """Worker that draws only while its gate is open; records its batches."""

    def __init__(self, batch=4):
        self.batches, self.gate, self.started = [], threading.Event(), threading.Event()
        self.worker = Worker(self.draw, lambda view: batch)
        self.threads, self.results = [], {}

    def draw(self, points, view):
        numbers = [int(each.latents[0, 0]) for each in points]
        self.batches.append(numbers)
        self.started.set()
        assert self.gate.wait(10)
        if 13 in numbers:
            raise DataError('unlucky')
        return np.array(numbers, np.uint8).reshape(-1, 1, 1, 1)

    def ask(self, number, view=View(0), **options):
        """Request an image in a separate thread, and wait until it is in the queue."""
        def work():
            try:
                self.results[number] = int(self.worker.image(point(number), view, number,
                                                             **options)[0, 0, 0])
            except Exception as error:
                self.results[number] = error
        before, is_first = self.worker.num_waiting, not self.threads
        self.threads.append(threading.Thread(target=work))
        self.threads[-1].start()
        if not is_first:
            wait_for(lambda: self.worker.num_waiting > before)
        else:
            assert self.started.wait(10)

    def finish(self):
        self.gate.set()
        for thread in self.threads:
            thread.join(10)
        self.worker.end()
        return self.results


def wait_for(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_images_of_a_view_share_batches_in_the_order_of_asking():
    studio = Studio()
    studio.ask(0)
    for number in (5, 6):
        studio.ask(number)
    studio.ask(7, View(1))
    studio.ask(8, later=True)
    studio.ask(9, alone=True)
    for number in (1, 2, 3):
        studio.ask(number)
    assert studio.finish() == {number: number for number in (0, 1, 2, 3, 5, 6, 7, 8, 9)}
    assert studio.batches == [[0], [5, 6, 1, 2], [7], [9], [3, 8]]


def test_what_nobody_waits_for_is_not_drawn():
    studio, wanted = Studio(), threading.Event()
    wanted.set()
    studio.ask(0)
    for number in (1, 2):
        studio.ask(number, wanted=wanted.is_set)
    studio.ask(3)
    wanted.clear()
    wait_for(lambda: studio.worker.num_waiting == 1)
    results = studio.finish()
    assert isinstance(results[1], Abandoned) and isinstance(results[2], Abandoned)
    assert studio.batches == [[0], [3]]


def test_equal_images_are_drawn_once_and_errors_reach_those_who_wait():
    studio = Studio()
    studio.ask(0)
    studio.ask(13)
    both = threading.Thread(target=lambda: pytest.raises(
        DataError, studio.worker.image, point(13), View(0), 13))
    both.start()
    time.sleep(0.05)
    studio.ask(2, View(1))
    results = studio.finish()
    both.join(10)
    assert isinstance(results[13], DataError) and results[2] == 2
    assert studio.batches == [[0], [13], [2]]


def test_the_queue_has_an_end(monkeypatch):
    monkeypatch.setattr(worker_module, 'MOST_WAITING', 2)
    studio = Studio()
    for number in (0, 1, 2):
        studio.ask(number)
    with pytest.raises(Busy):
        studio.worker.image(point(3), View(0))
    assert studio.finish() == {0: 0, 1: 1, 2: 2}


def test_the_cache_is_bounded_by_bytes():
    cache = ByteCache(100)
    for key in range(5):
        cache.put(key, bytes(30))
        cache.get(2)
    assert [key for key in range(5) if cache.get(key)] == [2, 3, 4] and cache.size == 90
    cache.put(2, bytes(10))
    assert cache.size == 70
    cache.put(9, bytes(101))
    assert cache.get(9) is None and cache.size == 70


# ---------------------------------------------------------------- tasks

def test_tasks_come_one_after_the_other_and_fail_alone(capfd):
    tasks, order = Tasks(), []

    def work(number):
        def do(task):
            order.append(number)
            task.report(1, 2, words='half')
            return 10 // number
        return do
    made = [tasks.start(work(number)) for number in (5, 0, 2)]
    wait_for(lambda: made[-1].state == 'done')
    assert order == [5, 0, 2] and [task.state for task in made] == ['done', 'failed', 'done']
    assert made[0].result == 2 and made[0].describe()['words'] == 'half'
    assert 'bug in the program' in made[1].error
    assert 'ZeroDivisionError' in capfd.readouterr().err
    tasks.end()


def test_tasks_can_be_cancelled_and_are_bounded(monkeypatch):
    monkeypatch.setattr(tasks_module, 'MOST_WAITING', 3)
    monkeypatch.setattr(tasks_module, 'MOST_KEPT', 2)
    tasks, running = Tasks(), threading.Event()

    def endless(task):
        running.set()
        while True:
            time.sleep(0.002)
            task.report(0, 1)
    first = tasks.start(endless)
    assert running.wait(10)
    second, third = tasks.start(lambda task: 2), tasks.start(lambda task: 3)
    with pytest.raises(TooMany):
        tasks.start(lambda task: 4)
    second.cancel()
    first.cancel()
    wait_for(lambda: third.state == 'done')
    assert (first.state, second.state) == ('cancelled', 'cancelled') and second.result is None
    for _ in range(4):
        last = tasks.start(lambda task: 5)
        wait_for(lambda last=last: last.state == 'done')
    assert tasks.get(first.number) is None and tasks.get(last.number) is last
    tasks.end()


def test_a_cancelled_task_stops_at_its_next_report():
    task = Task(1, lambda task: None)
    task.cancel()
    with pytest.raises(Cancelled):
        task.report(1, 2)


# ---------------------------------------------------------------- painter

def test_networks_of_other_snapshots_are_released(tmp_path):
    """Only their values are kept: otherwise, browsing snapshots fills the memory of a GPU."""
    loaded, path = [], str(tmp_path / 'network.pkl')
    Gs = random_generator()
    misc.save_pkl((Gs, Gs, Gs), path)

    def load(path):
        Gs = misc.load_generator(path)
        loaded.append(weakref.ref(next(iter(Gs.trainables.values()))))
        return Gs
    painter = Painter(random_generator(9), [Snapshot(path, i) for i in range(3)], 2, load)
    gc.disable()
    try:
        painter.use(0)
        painter.use(1)
        assert [each() is not None for each in loaded] == [False, False]
    finally:
        gc.enable()
