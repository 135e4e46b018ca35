-- How much work waits for one revision, and how many slots there are or will be for it, on all living nodes.
-- KEYS  1 sync stream  2 async stream  3 nodes
-- ARGV  1 prefix of the platform's keys  2 ref
-- Returns {waiting sync, waiting async, slots}
local answer = {}
for place = 1, 2 do
  local length = redis.call('XLEN', KEYS[place])
  answer[place] = length > 0 and length - redis.call('XPENDING', KEYS[place], 'runners')[1] or 0
end
local slots = 0
for _, node in ipairs(redis.call('SMEMBERS', KEYS[3])) do
  slots = slots + tonumber(redis.call('HGET', ARGV[1] .. ':slots:' .. node, ARGV[2]) or 0)
end
answer[3] = slots
return answer
