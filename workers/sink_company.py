"""The parts of the sink's script that keep a result company: tracks, minutes, picture.

Each reads what it needs before the first frame is written, notes what the frames that are stored
change, and writes it after the last of them: once a call.
"""

from contract.minutes import KEPT_MINUTES

# ADR 13: a frame's result is written only if its identities were computed from the state that is
# stored now, and the state after it with it.
TRACKS = """
-- The state of the tracks, '<token> <bytes>', and its token: '' where there is none. What is no
-- state, or a key of another type, has a token too, so that it can be replaced.
local tracks, kept, token, written = keys.tracks, false, '', false
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

local function note_tracks(frame)
  if tracks then
    kept, token, written = frame.token .. ' ' .. frame.state, frame.token, true
  end
end

local function write_tracks()
  if written then
    redis.call('SET', tracks, kept, 'EX', ttl)
  elseif tracks then
    redis.call('EXPIRE', tracks, ttl)
  end
end
"""

# `contract.minutes`. A value that no worker wrote counts as nothing, and is replaced.
MINUTES = (
    f"local KEPT_MINUTES = {KEPT_MINUTES}\n"
    + """
local function number(value)
  return type(value) == 'number' and value >= 0 and value < 2^53 and value or 0
end

local function read_minute(raw)
  local minute = {frames = 0, classes = {}, new = not raw}
  local readable, found = pcall(cjson.decode, raw or '')
  if not readable or type(found) ~= 'table' or type(found.classes) ~= 'table' then
    return minute
  end
  minute.frames = number(found.frames)
  for name, each in pairs(found.classes) do
    if type(each) == 'table' then
      minute.classes[tostring(name)] = {total = number(each.total), most = number(each.most)}
    end
  end
  return minute
end

local minutes, first_kept, last_kept = {}, nil, nil
for _, frame in ipairs(frames) do
  if not minutes[frame.minute] then
    local raw = redis.pcall('HGET', keys.minutes, frame.minute)
    unreadable = failed(raw, keys.minutes)
    if unreadable then return unreadable end
    minutes[frame.minute] = read_minute(raw)
  end
end

-- A minute begins: what is too far from it is forgotten.
local function begin_minute(at)
  local first, last = at - KEPT_MINUTES + 2, at + 1
  first_kept, last_kept = math.max(first_kept or first, first), math.min(last_kept or last, last)
  for name in pairs(minutes) do
    if tonumber(name) < first or tonumber(name) > last then minutes[name] = read_minute(false) end
  end
end

local function note_minute(frame)
  local minute = minutes[frame.minute]
  if minute.new then begin_minute(tonumber(frame.minute)) end
  minute.frames, minute.new, minute.changed = minute.frames + 1, false, true
  for name, count in pairs(cjson.decode(frame.counts)) do
    local each = minute.classes[name] or {total = 0, most = 0}
    minute.classes[name] = {total = each.total + count, most = math.max(each.most, count)}
  end
end

local function is_forgotten(name)
  if minutes[name] then return minutes[name].new end
  local at = tonumber(name)
  return not at or at < first_kept or at > last_kept
end

local function write_minutes()
  for name, minute in pairs(minutes) do
    if minute.changed then
      local value = cjson.encode({frames = minute.frames, classes = minute.classes})
      redis.call('HSET', keys.minutes, name, value)
    end
  end
  if first_kept then
    for _, name in ipairs(redis.call('HKEYS', keys.minutes)) do
      if is_forgotten(name) then redis.call('HDEL', keys.minutes, name) end
    end
  end
  redis.call('EXPIRE', keys.minutes, ttl)
end
"""
)

# `contract.preview`. Where there is no key of a preview, none is made.
PREVIEW = """
local watched, shown = '', nil
if keys.watch then
  watched = redis.pcall('GET', keys.watch)
  if type(watched) ~= 'string' then watched = '' end
end

local function note_preview(frame)
  if frame.jpeg ~= '' then shown = frame end
end

local function write_preview()
  if not shown then return end
  local pair = struct.pack('>I4', #shown.document) .. shown.document .. shown.jpeg
  redis.call('SET', keys.preview, pair, 'EX', ttl)
  if string.find(watched, '^%d+$') then
    redis.call('PUBLISH', channel, shown.session .. '/' .. shown.sequence)
  end
end
"""
