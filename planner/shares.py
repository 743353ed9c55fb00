"""How much of a worker, a producer or a broker a plan uses, and what each of them has."""

MEAN_LOAD = 0.7
"""Share of their capacity that all workers, producers and brokers use in the mean."""

FULLEST_LOAD = 0.9
"""Share that the worker or producer with the most cameras uses."""

DISK_SHARE, MEMORY_SHARE, REDIS_LOAD = 0.7, 0.6, 0.5

PRODUCER_CORES = 2
"""Of one producer."""

MEASURED_CORES = 2
"""Of the worker whose time for a frame was measured."""

DECODE_THREADS, MOST_DECODE_THREADS = 2, 4
"""Of one worker, and of one beside a GPU that has cores enough."""


def decode_threads(worker: str, cores: int) -> int:
    """Return in how many threads a worker decodes: on the CPU its cores have the network to run."""
    if worker != "gpu":
        return DECODE_THREADS
    return max(DECODE_THREADS, min(MOST_DECODE_THREADS, cores // 4))
