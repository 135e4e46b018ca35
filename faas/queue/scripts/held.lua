-- What the queues and the outboxes hold, waiting and claimed, counted entry by entry, beside what the counter says of it.
-- It looks at every entry, so it is run once on a Redis that has no counter yet, and for `faas doctor`.
-- KEYS  1 refs  2 held
-- ARGV  1 prefix of the platform's keys  2 '1' to set the counter when it is not there
-- Returns {entries, bytes, entries by the counter, bytes by the counter}
if ARGV[2] == '1' and redis.call('EXISTS', KEYS[2]) == 1 then return {} end
local entries, bytes = 0, 0
local function count(stream)
  local start = '-'
  repeat
    local page = redis.call('XRANGE', stream, start, '+', 'COUNT', 100)
    for _, entry in ipairs(page) do
      entries, start = entries + 1, '(' .. entry[1]
      for place = 2, #entry[2], 2 do bytes = bytes + #entry[2][place] end
    end
  until #page < 100
end
for _, ref in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  for _, mode in ipairs({'sync', 'async'}) do count(ARGV[1] .. ':q:' .. ref .. ':' .. mode) end
end
for _, outbox in ipairs(redis.call('SMEMBERS', ARGV[1] .. ':outboxes')) do
  local ref, way = string.match(outbox, '^(%S+) (%S+)$')
  count(ARGV[1] .. ':outbox:' .. ref .. ':' .. way)
end
if ARGV[2] == '1' then
  redis.call('HSET', KEYS[2], 'entries', entries, 'bytes', bytes)
  return {}
end
local held = redis.call('HMGET', KEYS[2], 'entries', 'bytes')
return {entries, bytes, tonumber(held[1] or 0), tonumber(held[2] or 0)}
