# SPDX-License-Identifier: MIT
"""joblib.Parallel, and the loky executor that comes with joblib."""
from serve import Missing, check, each_of, now, serve
from work import big_array, identity, same

WORKERS = 2
try:
    import joblib
    from joblib.externals import loky
except ImportError:
    joblib = None


def need_joblib():
    if joblib is None:
        raise Missing('joblib is not installed')


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


def executor():
    need_joblib()
    return loky.get_reusable_executor(WORKERS, timeout=None)


def map_one():
    with executor() as pool:
        yield from per_item(lambda n: list(pool.map(identity, range(n), chunksize=1)))


def map_default():
    """Batches of the size that joblib finds."""
    need_joblib()
    with joblib.Parallel(n_jobs=WORKERS) as parallel:
        yield from per_item(lambda n: parallel(joblib.delayed(identity)(i) for i in range(n)))


def big_identity():
    a = big_array()
    with executor() as pool:
        check(same(pool.submit(identity, a).result(), a), '64 MB')
        samples = None
        while True:
            count = yield samples
            samples = each_of(count, lambda: pool.submit(identity, a).result())


def big_parallel():
    """Two such arrays at once; seconds of one.

    joblib writes an array of this size to a file in shared memory and hands over its name."""
    need_joblib()
    a = big_array()
    with joblib.Parallel(n_jobs=WORKERS) as parallel:
        def run():
            return parallel(joblib.delayed(identity)(a) for _ in range(WORKERS))
        check(same(run()[1], a), '64 MB')
        samples = None
        while True:
            count = yield samples
            samples = [s / WORKERS for s in each_of(count, run)]


if __name__ == '__main__':
    serve({f.__name__: f for f in (map_one, map_default, big_identity, big_parallel)})
