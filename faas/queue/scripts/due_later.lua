-- What a page of those that are due later have, in their order.
-- KEYS  1 retrying
-- ARGV  1 place of the first  2 place of the last
-- Returns their bytes
local bytes = 0
for _, member in ipairs(redis.call('ZRANGE', KEYS[1], ARGV[1], ARGV[2])) do
  local ref, id = string.match(member, '^%S+ (%S+) (%S+)$')
  bytes = bytes + redis.call('HSTRLEN', KEYS[1] .. ':' .. ref, id)
end
return bytes
