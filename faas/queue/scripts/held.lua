-- Bring up what an earlier format left: what the queues, the outboxes, what waits until it is due, and the records stream
-- hold is counted one by one. One step, at the first start of a newer platform; `recount.lua` counts while others work. A
-- Redis of our format, or of a later one, is not touched.
-- KEYS  1 refs  2 held  3 records  4 format
-- ARGV  1 prefix of the platform's keys  2 our format
-- Returns the format that is there then
local prefix, format = ARGV[1], ARGV[2]
local found = redis.call('GET', KEYS[4])
if found and (not tonumber(found) or tonumber(found) >= tonumber(format)) then return found end
local function held(stream)
  local entries, bytes, start = 0, 0, '-'
  repeat
    -- Few at once, as each may have megabytes.
    local page = redis.call('XRANGE', stream, start, '+', 'COUNT', 10)
    for _, entry in ipairs(page) do
      entries, start = entries + 1, '(' .. entry[1]
      for place = 2, #entry[2], 2 do bytes = bytes + #entry[2][place] end
    end
  until #page < 10
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
redis.call('HSET', KEYS[2], 'entries', entries, 'bytes', bytes, 'unrecorded', unrecorded)
redis.call('DEL', KEYS[2] .. ':shares')
for name, share in pairs(shares) do
  if share[1] > 0 then redis.call('HSET', KEYS[2] .. ':shares', name .. ' n', share[1], name, share[2]) end
end
redis.call('SET', KEYS[4], format)
return format
