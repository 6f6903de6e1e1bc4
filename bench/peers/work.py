# SPDX-License-Identifier: MIT
"""What the workers of the Python peers run, and the 64 MB that go there and back."""
import os
import signal


def identity(x):
    return x


def touch_pages(a):
    """Write 8 bytes of every page."""
    a[::4096 // a.itemsize] += 1
    return a


def crash(_):
    os.kill(os.getpid(), signal.SIGSEGV)


def big_array():
    """64 MB; a numpy array where numpy is installed."""
    try:
        import numpy
    except ImportError:
        return bytes(64 << 20)
    return numpy.arange(8 << 20, dtype='f8')


def same(a, b):
    return len(a) == len(b) and a[1] == b[1] and a[len(a) - 1] == b[len(b) - 1]
