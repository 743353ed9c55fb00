"""The Lua scripts of the sink: what Redis does in one step.

Redis undoes nothing when a script fails midway. So each script asks first whether the user may run
its commands, and begins with a write that Redis refuses when it is full, read-only or cannot
persist: after that one no other fails. A server before Redis 7 cannot be asked; there a command
that is denied may leave the ones before it done, which the next success completes.

Tracks (ADR 13): a frame's result is written only if its identities were computed from the state
that is stored now, and the state after it with it. Else the call ends there, with that state as the
answer, from which the worker computes the rest again.
"""

from contract.result import DOCUMENT_FIELD, ORIGIN_FIELD

SILENT_SECONDS = 10
"""A session that nothing was stored of for so long holds back no other one of its camera."""

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
local stream, latest, sessions, tracks = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local commands = {
  {'XREVRANGE', stream, '+', '-'}, {'XRANGE', stream, '-', '+'}, {'GET', sessions},
  {'XADD', stream, '*', '', ''}, {'SET', latest, ''}, {'SET', sessions, ''},
  {'EXPIRE', stream, '1'}, {'EXPIRE', sessions, '1'},
}
if tracks then
  for _, command in ipairs({{'GET', tracks}, {'SET', tracks, ''}, {'EXPIRE', tracks, '1'}}) do
    commands[#commands + 1] = command
  end
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
"""Fails unless the user may run what ``STORE`` needs; the same keys, no arguments."""

SEEN_COMMANDS = _ALLOWED + _SEEN_COMMANDS
"""Fails unless the user may run what ``SEEN`` needs; the same key, no arguments."""

# The rules are those of ADR 10. Numbers are compared as texts where they may exceed 2^53, the
# largest that Lua's own numbers hold exactly.
STORE = (
    _ALLOWED
    + _STORE_COMMANDS
    + f"local RESULT, ORIGIN, MOST_CLOSED = '{DOCUMENT_FIELD}', '{ORIGIN_FIELD}', 16\n"
    + f"local SILENT = {SILENT_SECONDS}\n"
    + """
local max_results, ttl = ARGV[1], ARGV[2]

local function less(a, b)
  if #a ~= #b then return #a < #b end
  return a < b
end

local function read(raw)
  local entry = {}
  entry.ms, entry.sequence = string.match(raw[1], '^(%d+)-(%d+)$')
  for i = 1, #raw[2], 2 do
    local name, value = raw[2][i], raw[2][i + 1]
    if name == RESULT then entry.document = value end
    if name == ORIGIN then
      entry.session, entry.log, entry.position = string.match(value, '^(%S+) (%S*) (%d+)$')
    end
  end
  return entry
end

local head = redis.pcall('XREVRANGE', stream, '+', '-', 'COUNT', 1)
local text = redis.pcall('GET', sessions)
local unreadable = failed(head, stream) or failed(text, sessions)
if unreadable then return unreadable end
local last = head[1] and read(head[1])

-- The state of the tracks, '<token> <bytes>', and its token: '' where there is none. What is no
-- state, or a key of another type, has a token too, so that it can be replaced.
local kept, token, written = false, '', false
if tracks then
  kept = redis.pcall('GET', tracks)
  if type(kept) == 'table' and string.find(kept.err, 'WRONGTYPE', 1, true) then kept = kept.err end
  unreadable = failed(kept, tracks)
  if unreadable then return unreadable end
  if kept then token = string.match(kept, '^(%S+) ') or redis.sha1hex(kept) end
end

local function conflicts(frame)
  return tracks and frame.base ~= token
end

-- What came before the newest session, newest first: runs of frames of one session.
local closed = {}
for session, ms, sequence in string.gmatch(text or '', '(%S+) (%d+) (%d+);') do
  closed[#closed + 1] = {session = session, ms = ms, sequence = sequence}
end

local function close(run)
  if not run.session then return end
  table.insert(closed, 1, {session = run.session, ms = run.ms, sequence = run.sequence})
  closed[MOST_CLOSED + 1] = nil
  local lines = {}
  for _, each in ipairs(closed) do
    lines[#lines + 1] = each.session .. ' ' .. each.ms .. ' ' .. each.sequence .. ';'
  end
  redis.call('SET', sessions, table.concat(lines), 'EX', ttl)
end

local function newest_closed(session)
  for _, run in ipairs(closed) do
    if run.session == session then return run end
  end
end

local function entry_at(frame, ms)
  local id = ms .. '-' .. frame.sequence
  local raw = redis.call('XRANGE', stream, id, id)[1]
  local entry = raw and read(raw)
  if entry and (entry.session == nil or entry.session == frame.session) then return entry end
end

local function entry_of(frame)
  local entry = entry_at(frame, frame.start)
  if not entry and last.session == frame.session then entry = entry_at(frame, last.ms) end
  for _, run in ipairs(closed) do
    if not entry and run.session == frame.session then entry = entry_at(frame, run.ms) end
  end
  return entry
end

local function ids_begin(frame, after)
  local ms = math.min(tonumber(frame.start), tonumber(frame.now))
  if after then ms = math.max(ms, tonumber(after) + 1) end
  return string.format('%.0f', ms)
end

-- Returns whether nothing was stored for SILENT seconds: then less than the rest of its time to
-- live is left of the latest result, which so gets that rest (and is replaced at once). Servers
-- before Redis 7 know no GT: there nobody can tell.
local function has_ended()
  local rest = tonumber(ttl) - SILENT
  if rest <= 0 then return false end
  local answer = redis.pcall('EXPIRE', latest, string.format('%.0f', rest), 'GT')
  local failure = failed(answer, latest)
  for _, unknown in ipairs({'Unsupported option', 'wrong number of arg'}) do
    if failure and string.find(string.lower(failure.err), string.lower(unknown), 1, true) then
      return false
    end
  end
  return answer == 1, failure
end

-- Returns the first part of the frame's id, nil if it is not newer than the newest entry, and what
-- is said of it, or the error that kept it from being told.
local function place(frame)
  if not last then return ids_begin(frame), 'stored' end
  -- An entry of an earlier version has no origin: there the id tells the session.
  if not last.session and last.ms == frame.start then last.session = frame.session end
  if last.session == frame.session then
    return less(last.sequence, frame.sequence) and last.ms or nil, 'stored'
  end
  local known = newest_closed(frame.session)
  if known and not less(known.sequence, frame.sequence) then return nil end
  if entry_at(frame, frame.start) then return nil end
  local later = less(last.ms, frame.start)
  if frame.log ~= '' and frame.log == last.log then
    if not less(last.position, frame.position) then return nil end
  elseif not (known or later or not last.session and less(frame.now, last.ms)) then
    -- From another partition, or of unknown order: the clocks decide, for as long as the camera's
    -- newest session goes on. They are asked only once: the question itself writes.
    if conflicts(frame) then return nil, 'conflict' end
    local ended, failure = has_ended()
    if not ended then return nil, failure end
  end
  return ids_begin(frame, last.ms), known and 'resumed' or later and 'stored' or 'set_back'
end

local function store(frame)
  local ms, outcome = place(frame)
  if type(outcome) == 'table' or outcome == 'conflict' then return outcome end
  if ms then
    if conflicts(frame) then return 'conflict' end
    if last and last.session ~= frame.session then close(last) end
    local id = ms .. '-' .. frame.sequence
    local origin = frame.session .. ' ' .. frame.log .. ' ' .. frame.position
    local added = redis.pcall('XADD', stream, 'MAXLEN', '~', max_results, id,
      RESULT, frame.document, ORIGIN, origin)
    if type(added) ~= 'table' then
      last = {ms = ms, sequence = frame.sequence, session = frame.session, log = frame.log,
        position = frame.position, document = frame.document}
      if tracks then
        kept, token, written = frame.token .. ' ' .. frame.state, frame.token, true
      end
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
for i = 3, #ARGV, tracks and 10 or 7 do
  local outcome = store({
    session = ARGV[i], start = ARGV[i + 1], sequence = ARGV[i + 2], log = ARGV[i + 3],
    position = ARGV[i + 4], now = ARGV[i + 5], document = ARGV[i + 6],
    base = ARGV[i + 7], token = ARGV[i + 8], state = ARGV[i + 9],
  })
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
  redis.call('SET', latest, last.document, 'EX', ttl)
  redis.call('EXPIRE', stream, ttl)
  redis.call('EXPIRE', sessions, ttl)
  if written then
    redis.call('SET', tracks, kept, 'EX', ttl)
  elseif tracks then
    redis.call('EXPIRE', tracks, ttl)
  end
end
return failure or outcomes
"""
)
"""Stores frames of one camera, in order.

Keys: stream, latest, sessions, and tracks where they are tracked. Arguments: most results, time to
live, then for each frame its session, the session's start, sequence, log, position, the present (ms
since 1970) and document; with tracks also the token of the state that it was computed from, the
token of the state after it, and that state. Returns an outcome for each frame, or for those before
the first conflict, then ``conflict`` and what is stored: its token and all of it. ``own`` is a
duplicate whose very document is stored.
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
