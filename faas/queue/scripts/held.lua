-- What the queues, the outboxes, what waits until it is due, and the records stream hold, counted one by one, beside what
-- the counter says of it: for `faas doctor`, and to bring up what an earlier format left. One of ours, or of a later one,
-- is not touched.
-- KEYS  1 refs  2 held  3 records  4 format
-- ARGV  1 prefix of the platform's keys  2 our format, to bring up to it; '' to look only
-- Returns the format that is there, when brought up; else {entries, bytes, bytes of records, and the three as counted}
local prefix, format = ARGV[1], ARGV[2]
local found = redis.call('GET', KEYS[4])
if format ~= '' and found and (not tonumber(found) or tonumber(found) >= tonumber(format)) then return found end
local function held(stream)
  local entries, bytes, start = 0, 0, '-'
  repeat
    local page = redis.call('XRANGE', stream, start, '+', 'COUNT', 100)
    for _, entry in ipairs(page) do
      entries, start = entries + 1, '(' .. entry[1]
      for place = 2, #entry[2], 2 do bytes = bytes + #entry[2][place] end
    end
  until #page < 100
  return entries, bytes
end
local entries, bytes, shares = 0, 0, {}
local function add(ref, more, larger)
  local name = string.match(ref, '^(.*)@') or ref
  local share = shares[name] or {0, 0}
  shares[name] = {share[1] + more, share[2] + larger}
  entries, bytes = entries + more, bytes + larger
end
local function count(ref, stream) add(ref, held(stream)) end
for _, ref in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  for _, mode in ipairs({'sync', 'async'}) do count(ref, prefix .. ':q:' .. ref .. ':' .. mode) end
end
for _, outbox in ipairs(redis.call('SMEMBERS', prefix .. ':outboxes')) do
  local ref, way = string.match(outbox, '^(%S+) (%S+)$')
  local stream = prefix .. ':outbox:' .. ref .. ':' .. way
  if way == 'message' then
    -- Messages are in nobody's share.
    local more, larger = held(stream)
    entries, bytes = entries + more, bytes + larger
  else
    count(ref, stream)
  end
end
local start, page = 0
repeat
  page = redis.call('ZRANGE', prefix .. ':retrying', start, start + 99)
  for _, member in ipairs(page) do
    local ref, id = string.match(member, '^%S+ (%S+) (%S+)$')
    add(ref, 1, redis.call('HSTRLEN', prefix .. ':retrying:' .. ref, id))
  end
  start = start + 100
until #page < 100
local _, unrecorded = held(KEYS[3])
if format == '' then
  local counted = redis.call('HMGET', KEYS[2], 'entries', 'bytes', 'unrecorded')
  return {
    entries, bytes, unrecorded, tonumber(counted[1] or 0), tonumber(counted[2] or 0), tonumber(counted[3] or 0),
  }
end
redis.call('HSET', KEYS[2], 'entries', entries, 'bytes', bytes, 'unrecorded', unrecorded)
redis.call('DEL', KEYS[2] .. ':shares')
for name, share in pairs(shares) do
  if share[1] > 0 then redis.call('HSET', KEYS[2] .. ':shares', name .. ' n', share[1], name, share[2]) end
end
redis.call('SET', KEYS[4], format)
return format
