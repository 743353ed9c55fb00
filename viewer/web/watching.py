"""What the live page asks of Redis: who watches, and what is new."""

WATCH = """
local width, seconds, known = tonumber(ARGV[1]), ARGV[2], ARGV[3]
local other = tonumber(redis.call('GET', KEYS[1]) or '')
if not (other and other > width and redis.call('PTTL', KEYS[1]) > 2500) then
  redis.call('SET', KEYS[1], ARGV[1], 'EX', seconds)
end
if #known > 0 and redis.call('GETRANGE', KEYS[2], 0, #known - 1) == known then return false end
return redis.call('GET', KEYS[2])
"""
"""Says that somebody watches a camera, and returns its preview where that is a new one.

A larger width that another viewer asked for, and renews, stays; once it is renewed no more, ours
takes its place before it expires. Keys: watch, preview. Arguments: width, seconds that the watch
lasts, the first bytes of the preview that is known, empty for none.
"""

SEEN = """
local now = redis.call('TIME')
return {now[1], redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')}
"""
"""Returns the server's time and all cameras with the time, by the same clock, of their newest
result, both in whole seconds. Key: the sorted set of the cameras."""

KNOWN_BYTES = 512
"""So many first bytes tell one preview of a camera from another: the length of the document, and
in it camera, session and number of the frame."""
