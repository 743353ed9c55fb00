"""The local stack: a Kafka broker and a Redis-compatible server as child processes, and the demo.

Linux only: children are tied to their parent with ``prctl`` and recognised through ``/proc``.
"""
