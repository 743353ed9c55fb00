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

DECODE_THREADS = 2
"""Of one worker, whatever runs its network."""
