"""The part of the sink's script that decides which frame comes after which (ADR 10).

It begins with what the stream holds, reads and decides; only `has_ended` writes, the time to live
of what is replaced at once. Numbers are compared as texts where they may exceed 2^53, the largest
that Lua's own numbers hold exactly.
"""

from contract.result import DOCUMENT_FIELD, ORIGIN_FIELD

SILENT_SECONDS = 10
"""A session that nothing was stored of for so long holds back no other one of its camera."""

ORDER = (
    f"local RESULT, ORIGIN, MOST_CLOSED = '{DOCUMENT_FIELD}', '{ORIGIN_FIELD}', 16\n"
    + f"local SILENT = {SILENT_SECONDS}\n"
    + """
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

local head = redis.pcall('XREVRANGE', keys.results, '+', '-', 'COUNT', 1)
local text = redis.pcall('GET', keys.sessions)
unreadable = failed(head, keys.results) or failed(text, keys.sessions)
if unreadable then return unreadable end
local last = head[1] and read(head[1])

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
  redis.call('SET', keys.sessions, table.concat(lines), 'EX', ttl)
end

local function newest_closed(session)
  for _, run in ipairs(closed) do
    if run.session == session then return run end
  end
end

local function entry_at(frame, ms)
  local id = ms .. '-' .. frame.sequence
  local raw = redis.call('XRANGE', keys.results, id, id)[1]
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
  local answer = redis.pcall('EXPIRE', keys.latest, string.format('%.0f', rest), 'GT')
  local failure = failed(answer, keys.latest)
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
"""
)
