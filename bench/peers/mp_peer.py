# SPDX-License-Identifier: MIT
"""multiprocessing.Pool and concurrent.futures.ProcessPoolExecutor, both with fork."""
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from serve import Missing, check, each_of, mean_after, mean_of, now, serve
from work import big_array, crash, identity, same, touch_pages

WORKERS = 2
fork = multiprocessing.get_context('fork')


def apply():
    with fork.Pool(WORKERS) as pool:
        check(pool.apply(identity, (7,)) == 7, 'apply')
        samples = None
        while True:
            count = yield samples
            samples = mean_of(count, lambda: pool.apply(identity, (7,)))


def apply_idle():
    with fork.Pool(WORKERS) as pool:
        check(pool.apply(identity, (7,)) == 7, 'apply')
        samples = None
        while True:
            count = yield samples
            samples = mean_after(count, 300e-6, lambda: pool.apply(identity, (7,)))


def submit():
    def all_at_once(count):
        pending = [pool.apply_async(identity, (i,)) for i in range(count)]
        return [p.get() for p in pending]

    with fork.Pool(WORKERS) as pool:
        check(all_at_once(100) == list(range(100)), 'apply_async')
        samples = None
        while True:
            count = yield samples
            start = now()
            all_at_once(count)
            samples = [(now() - start) / count]


def per_item(run):
    """A case of run(count), which maps identity() over range(count); seconds of one item."""
    check(list(run(1000)) == list(range(1000)), 'map')
    samples = None
    while True:
        count = yield samples
        start = now()
        result = run(count)
        samples = [(now() - start) / count]
        check(len(result) == count and result[-1] == count - 1, 'map')


def map_one():
    with fork.Pool(WORKERS) as pool:
        yield from per_item(lambda n: pool.map(identity, range(n), chunksize=1))


def map_default():
    with fork.Pool(WORKERS) as pool:
        yield from per_item(lambda n: pool.map(identity, range(n)))


def executor_map_one():
    with ProcessPoolExecutor(WORKERS, mp_context=fork) as pool:
        yield from per_item(lambda n: list(pool.map(identity, range(n))))


def executor_map_chunks():
    with ProcessPoolExecutor(WORKERS, mp_context=fork) as pool:
        yield from per_item(lambda n: list(pool.map(identity, range(n), chunksize=-(-n // (4 * WORKERS)))))


def open_close():
    def run():
        pool = fork.Pool(WORKERS)
        pool.close()
        pool.join()

    samples = None
    while True:
        count = yield samples
        samples = each_of(count, run)


def big(task):
    a = big_array()
    with fork.Pool(WORKERS) as pool:
        check(same(pool.apply(identity, (a,)), a), '64 MB')
        samples = None
        while True:
            count = yield samples
            samples = each_of(count, lambda: pool.apply(task, (a,)))


def big_identity():
    return big(identity)


def big_pages():
    if isinstance(big_array(), bytes):
        raise Missing('numpy is not installed')
    return big(touch_pages)


def crashes():
    """From the submission of an item that crashes to its exception; the executor is lost then."""
    samples = None
    while True:
        count = yield samples
        samples = [crash_once() for _ in range(count)]


def crash_once():
    with ProcessPoolExecutor(WORKERS, mp_context=fork) as pool:
        check(list(pool.map(identity, range(20))) == list(range(20)), 'map')
        start = now()
        try:
            pool.submit(crash, 0).result()
        except BrokenProcessPool:
            return now() - start
    check(False, 'a crash that nobody saw')


def process():
    def run():
        p = fork.Process(target=identity, args=(0,))
        p.start()
        p.join()
        check(p.exitcode == 0, 'exit code')

    samples = None
    while True:
        count = yield samples
        samples = each_of(count, run)


if __name__ == '__main__':
    serve({f.__name__: f for f in (
        apply, apply_idle, submit, map_one, map_default, executor_map_one, executor_map_chunks,
        open_close, big_identity, big_pages, crashes, process)})
