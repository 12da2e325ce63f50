"""What every peer does: read the signal, warm up, and make calls when told to.

A peer is started as `PEER.py MODEL SIGNAL CHANNELS BLOCK`. It writes one JSON object per line to stdout: first
{"version"}, then for each line `LEAD_IN CALLS` on stdin {"together_ns", "cpu_ns", "wall_ns"}: CPU and wall time of CALLS
calls in a row, and a number for each of as many more. Each call takes the next block of the signal, over
and over. It ends when stdin does."""

import json
import os
import statistics
import sys
import time

import numpy

WARM_UP_CALLS = 8
EMPTY_CALLS = 101  # for what reading the clocks takes


def serve(load, streams=True):
    """`load(model, channels, block)` gives the library's name and version, a function of one block that gives the
    output, and a function that makes a block, `[1, channels, block]`, of a numpy array. What `streams` gives as much as it
    takes."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    model, signal, channels, block = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    version, call, convert = load(model, channels, block)
    samples = numpy.fromfile(signal, dtype="<f4").reshape(channels, -1)
    count = samples.shape[1] // block
    if count == 0:
        sys.exit(f"the signal has {samples.shape[1]} samples, fewer than a block of {block}")
    blocks = [convert(numpy.ascontiguousarray(samples[None, :, i * block : (i + 1) * block])) for i in range(count)]

    at = 0

    def next_call():
        nonlocal at
        result = call(blocks[at])
        at = (at + 1) % count
        return result

    for _ in range(WARM_UP_CALLS):
        written = next_call().shape[-1]
    if streams and written != block:
        sys.exit(f"gave {written} samples for a block of {block}; choose another --peer-block")
    print(json.dumps({"version": version}), file=answers, flush=True)
    for line in sys.stdin:
        lead_in, calls = map(int, line.split())
        for _ in range(lead_in):
            next_call()
        together = [times[0] for times in timed(lambda: [next_call() for _ in range(calls)], 1)]
        clocks = [statistics.median_low(empty) for empty in timed(lambda: None, EMPTY_CALLS)]
        spent = [[max(0, call - clock) for call in calls] for calls, clock in zip(timed(next_call, calls), clocks)]
        print(json.dumps(dict(zip(("together_ns", "cpu_ns", "wall_ns"), [together, *spent]))), file=answers, flush=True)


def timed(call, calls):
    """CPU and wall nanoseconds of each of so many calls, the reading of the clocks included."""
    cpu, wall = [time.process_time_ns()], [time.perf_counter_ns()]
    for _ in range(calls):
        call()
        cpu.append(time.process_time_ns())
        wall.append(time.perf_counter_ns())
    return [[after - before for before, after in zip(times, times[1:])] for times in (cpu, wall)]
