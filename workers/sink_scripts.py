"""The Lua scripts of the sink: what Redis does in one step.

Redis undoes nothing when a script fails midway. So each script asks first whether the user may run
its commands, and begins with a write that Redis refuses when it is full, read-only or cannot
persist: after that one no other fails. A server before Redis 7 cannot be asked; there a command
that is denied may leave the ones before it done, which the next success completes.

With a result its company is written, or nothing: the state of its tracks (ADR 13: else the call
ends there, with that state as the answer, from which the worker computes the rest again), its
minute's counts, and the picture that it was made from, if it brings one (ADR 14).
"""

from workers.sink_company import MINUTES, PREVIEW, TRACKS
from workers.sink_order import ORDER

_ALLOWED = """
local function denied(commands)
  local missing = {}
  if redis.acl_check_cmd then
    for _, command in ipairs(commands) do
      if not redis.acl_check_cmd(unpack(command)) then
        missing[#missing + 1] = command[1] .. (command[2] and ' ' .. command[2] or '')
      end
    end
  end
  if #missing > 0 then
    return redis.error_reply('NOPERM the user may not run ' .. table.concat(missing, ', '))
  end
end

local function failed(answer, key)
  if type(answer) == 'table' and answer.err then
    return redis.error_reply(answer.err .. ', the key is ' .. key)
  end
end
"""

_STORE_COMMANDS = """
local keys, channel = {}, ARGV[1]
for _, key in ipairs(KEYS) do keys[string.match(key, '[^:]*$')] = key end
local commands = {
  {'XREVRANGE', keys.results, '+', '-'}, {'XRANGE', keys.results, '-', '+'},
  {'GET', keys.sessions}, {'XADD', keys.results, '*', '', ''}, {'SET', keys.latest, ''},
  {'SET', keys.sessions, ''}, {'EXPIRE', keys.results, '1'}, {'EXPIRE', keys.sessions, '1'},
  {'HGET', keys.minutes, ''}, {'HSET', keys.minutes, '', ''}, {'HKEYS', keys.minutes},
  {'HDEL', keys.minutes, ''}, {'EXPIRE', keys.minutes, '1'},
}
local function also(command) commands[#commands + 1] = command end
if keys.tracks then
  also({'GET', keys.tracks})
  also({'SET', keys.tracks, ''})
  also({'EXPIRE', keys.tracks, '1'})
end
if keys.watch then
  also({'GET', keys.watch})
  also({'SET', keys.preview, ''})
  also({'PUBLISH', channel, ''})
end
local refusal = denied(commands)
if refusal then return refusal end
"""

_SEEN_COMMANDS = """
local refusal = denied({
  {'TIME'}, {'ZADD', KEYS[1], '0', ''}, {'ZREMRANGEBYSCORE', KEYS[1], '0', '0'},
  {'EXPIRE', KEYS[1], '1'},
})
if refusal then return refusal end
"""

STORE_COMMANDS = _ALLOWED + _STORE_COMMANDS
"""Fails unless the user may run what ``STORE`` needs; the same keys, and the channel."""

SEEN_COMMANDS = _ALLOWED + _SEEN_COMMANDS
"""Fails unless the user may run what ``SEEN`` needs; the same key, no arguments."""

_FRAMES = """
local max_results, ttl, unreadable = ARGV[2], ARGV[3], nil
local frames = {}
for i = 4, #ARGV, keys.tracks and 13 or 10 do
  frames[#frames + 1] = {
    session = ARGV[i], start = ARGV[i + 1], sequence = ARGV[i + 2], log = ARGV[i + 3],
    position = ARGV[i + 4], now = ARGV[i + 5], document = ARGV[i + 6], minute = ARGV[i + 7],
    counts = ARGV[i + 8], jpeg = ARGV[i + 9],
    base = ARGV[i + 10], token = ARGV[i + 11], state = ARGV[i + 12],
  }
end
"""

_STORE = """
local function store(frame)
  local ms, outcome = place(frame)
  if type(outcome) == 'table' or outcome == 'conflict' then return outcome end
  if ms then
    if conflicts(frame) then return 'conflict' end
    if last and last.session ~= frame.session then close(last) end
    local id = ms .. '-' .. frame.sequence
    local origin = frame.session .. ' ' .. frame.log .. ' ' .. frame.position
    local added = redis.pcall('XADD', keys.results, 'MAXLEN', '~', max_results, id,
      RESULT, frame.document, ORIGIN, origin)
    if type(added) ~= 'table' then
      last = {ms = ms, sequence = frame.sequence, session = frame.session, log = frame.log,
        position = frame.position, document = frame.document}
      note_tracks(frame)
      note_minute(frame)
      note_preview(frame)
      return outcome
    end
    -- The newest entries were deleted by hand; Redis remembers their ids.
    if not string.find(added.err, 'ID specified in XADD', 1, true) then return added end
  end
  local entry = last and entry_of(frame)
  if not entry then return 'out_of_order' end
  -- Documents tell when they were made, to the microsecond: an equal one is this worker's own.
  return entry.document == frame.document and 'own' or 'duplicate'
end

local outcomes, failure, touched = {}, nil, false
for _, frame in ipairs(frames) do
  local outcome = store(frame)
  if type(outcome) == 'table' then
    failure = outcome
    break
  end
  outcomes[#outcomes + 1] = outcome
  if outcome == 'conflict' then
    outcomes[#outcomes + 1] = token
    outcomes[#outcomes + 1] = kept or ''
    break
  end
  touched = touched or outcome ~= 'out_of_order'
end
-- Also after a repetition: it completes what a failure may have left undone.
if touched and last.document then
  redis.call('SET', keys.latest, last.document, 'EX', ttl)
  redis.call('EXPIRE', keys.results, ttl)
  redis.call('EXPIRE', keys.sessions, ttl)
  write_tracks()
  write_minutes()
  write_preview()
end
if failure then return failure end
table.insert(outcomes, 1, watched)
return outcomes
"""

STORE = _ALLOWED + _STORE_COMMANDS + _FRAMES + TRACKS + ORDER + MINUTES + PREVIEW + _STORE
"""Stores frames of one camera, in order.

Keys, which it tells by their last words: results, latest, sessions, minutes; tracks where they are
tracked; preview and watch where pictures are made. Arguments: the channel of previews, most
results, time to live, then for each frame its session, the session's start, sequence, log,
position, the present (ms since 1970), document, minute, objects by class, and JPEG (empty where it
has none); with tracks also the token of the state that it was computed from, the token of the state
after it, and that state. Returns how wide somebody looks at the camera (empty: nobody does), and an
outcome for each frame, or for those before the first conflict, then ``conflict`` and what is
stored: its token and all of it. ``own`` is a duplicate whose very document is stored.
"""

SEEN = (
    _ALLOWED
    + _SEEN_COMMANDS
    + """
local now, ttl = tonumber(redis.call('TIME')[1]), tonumber(ARGV[1])
local members = {}
for i = 2, #ARGV do
  members[#members + 1] = now
  members[#members + 1] = ARGV[i]
end
local failure = failed(redis.pcall('ZADD', KEYS[1], unpack(members)), KEYS[1])
if failure then return failure end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. (now - ttl))
redis.call('EXPIRE', KEYS[1], ttl)
return redis.status_reply('OK')
"""
)
"""Notes that cameras were seen now, by the server's clock: one that steps in a worker would forget
the cameras of others. Key: the sorted set. Arguments: time to live, then the cameras."""
