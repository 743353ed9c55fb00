"""Producer, worker and tools: topics, the largest record, and what a dead letter adds."""

FRAMES_TOPIC = "frames"
DEAD_TOPIC = "frames.dead"

MAX_RECORD_BYTES = 16 * 1024 * 1024
"""Largest record that topics of the local stack, producers and consumers agree on, in bytes."""

DEAD_REASON_HEADER = "seedstream_dead_reason"
DEAD_DETAIL_HEADER = "seedstream_dead_detail"
DEAD_TOPIC_HEADER = "seedstream_dead_topic"
DEAD_PARTITION_HEADER = "seedstream_dead_partition"
DEAD_POSITION_HEADER = "seedstream_dead_position"
"""Headers added to a dead letter: reason, text, and where the original record lies."""

DEAD_RAW_HEADER = "seedstream_dead_raw"
"""Header of a record that cannot be read: the value has the raw bytes of the ``record``, or of the
``batch`` at its first position; ``batch at N``: they are with the dead letter of position N."""

DEAD_RAW_HEADERS_HEADER = "seedstream_dead_raw_headers"
"""Header with the raw bytes of headers that cannot be read."""

REPLAY_HEADER = "seedstream_replay_of"
"""Header of a record that was sent again: TOPIC/PARTITION:POSITION of its dead letter."""
