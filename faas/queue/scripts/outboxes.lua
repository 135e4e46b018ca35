-- Which outboxes hold records for destinations, and how many. Empty ones are removed, with all that is known of readers.
-- KEYS  1 outboxes
-- ARGV  1 prefix of the platform's keys
-- Returns a flat list: outbox (ref and way), entries, ...
local answer = {}
for _, outbox in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  local ref, way = string.match(outbox, '^(%S+) (%S+)$')
  local stream = ARGV[1] .. ':outbox:' .. ref .. ':' .. way
  local length = redis.call('XLEN', stream)
  if length == 0 then
    redis.call('DEL', stream)
    redis.call('SREM', KEYS[1], outbox)
  else
    answer[#answer + 1] = outbox
    answer[#answer + 1] = length
  end
end
return answer
