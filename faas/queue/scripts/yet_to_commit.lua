-- What `recorded` and `let_go` begin with: which sinks have yet to commit an entry.
-- KEYS  1 records  2 held  3 sinks
-- ARGV  1 bytes of records past which nothing is kept for sinks that may miss some

local function split(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(seq)
end

-- The sinks that entries wait for, but for the one of a group, each with the last entry that it has read; and those that
-- there is no room to wait for.
local function others(group)
  local names, found, passed = redis.call('HGETALL', KEYS[3]), {}, {}
  if group ~= 'recorders' then found[1] = {group = 'recorders', ms = 0, seq = 0} end
  local is_full = #names > 0 and tonumber(redis.call('HGET', KEYS[2], 'unrecorded') or 0) > tonumber(ARGV[1])
  for place = 1, #names, 2 do
    local among = (names[place + 1] == 'must' or not is_full) and found or passed
    if names[place] ~= group then among[#among + 1] = {group = names[place], ms = 0, seq = 0} end
  end
  if #found + #passed == 0 or redis.call('EXISTS', KEYS[1]) == 0 then return found, passed end
  for _, about in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
    for _, sinks in ipairs({found, passed}) do
      for _, sink in ipairs(sinks) do
        if sink.group == about[2] then sink.ms, sink.seq = split(about[8]) end
      end
    end
  end
  return found, passed
end

-- Whether one of them has not read an entry yet (its group may not be made yet), or not committed it.
local function is_awaited(id, sinks)
  local ms, seq = split(id)
  for _, sink in ipairs(sinks) do
    if ms > sink.ms or (ms == sink.ms and seq > sink.seq) then return true end
    if redis.call('XPENDING', KEYS[1], sink.group, id, id, 1)[1] then return true end
  end
  return false
end

local function subtract(bytes)
  if redis.call('XLEN', KEYS[1]) == 0 then
    redis.call('HSET', KEYS[2], 'unrecorded', 0)
    redis.call('DEL', KEYS[2] .. ':unrecorded')
  else
    -- Not `-bytes`: of nothing that is -0, which Redis 7.0 and before writes so, and takes for no integer.
    redis.call('HINCRBY', KEYS[2], 'unrecorded', 0 - bytes)
  end
end

