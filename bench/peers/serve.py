# SPDX-License-Identifier: MIT
"""Answers questions from bench/peer.c: a line "CASE COUNT", a line of JSON back.

A case is a generator function: it makes what it needs, checks the answer, and then gives for each
count that it is sent the samples, seconds of one operation each.  It ends when another case is
asked for, or with the input."""
import json
import signal
import sys
import time

now = time.perf_counter


class Wrong(Exception):
    """A wrong answer."""


class Missing(Exception):
    """What is needed is not installed."""


def check(right, text):
    if not right:
        raise Wrong(text)


def mean_of(count, call):
    """One sample: the mean of count calls."""
    start = now()
    for _ in range(count):
        call()
    return [(now() - start) / count]


def mean_after(count, pause, call):
    """The same, where each call comes after a pause that does not count."""
    total = 0
    for _ in range(count):
        time.sleep(pause)
        start = now()
        call()
        total += now() - start
    return [total / count]


def each_of(count, call):
    """A sample for each of count calls."""
    samples = []
    for _ in range(count):
        start = now()
        call()
        samples.append(now() - start)
    return samples


def text_of(error):
    text = str(error) if isinstance(error, (Missing, Wrong)) else type(error).__name__ + ': ' + str(error)
    return text.replace('"', "'").replace('\n', ' ')[:150]


def open_case(cases, name):
    case = cases[name]()
    next(case)
    return case


def answer(case, count):
    try:
        return {'samples': case.send(count)}
    except Wrong as error:
        return {'wrong': text_of(error)}
    except Exception as error:
        return {'error': text_of(error)}


def serve(cases):
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    name, case = None, None
    for line in sys.stdin:
        wanted, count = line.split()
        try:
            if wanted != name:
                if case:
                    case.close()
                name, case = wanted, None
                case = open_case(cases, wanted)
            reply = answer(case, int(count)) if case else {'error': 'not there'}
        except Wrong as error:
            reply = {'wrong': text_of(error)}
        except Exception as error:
            reply = {'error': text_of(error)}
        print(json.dumps(reply), flush=True)
    if case:
        case.close()
