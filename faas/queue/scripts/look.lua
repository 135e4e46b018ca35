-- How much work waits for one revision, and how many slots there are or will be for it, on all living nodes.
-- Where something waits and there is none yet, one node at a time makes the first: whoever looks first, for a second.
-- KEYS  1 sync stream  2 async stream  3 nodes  4 mark of who makes the first slot
-- ARGV  1 prefix of the platform's keys  2 ref  3 the node that looks
-- Returns {waiting sync, waiting async, slots, 1 when another node is about to make the first slot, else 0}
local answer = {}
for place = 1, 2 do
  local length = redis.call('XLEN', KEYS[place])
  answer[place] = length > 0 and length - redis.call('XPENDING', KEYS[place], 'runners')[1] or 0
end
local slots = 0
for _, node in ipairs(redis.call('SMEMBERS', KEYS[3])) do
  slots = slots + tonumber(redis.call('HGET', ARGV[1] .. ':slots:' .. node, ARGV[2]) or 0)
end
answer[3], answer[4] = slots, 0
if slots == 0 and answer[1] + answer[2] > 0 then
  -- A full Redis refuses the mark, and then two nodes may make one each.
  redis.pcall('SET', KEYS[4], ARGV[3], 'NX', 'PX', 1000)
  local first = redis.call('GET', KEYS[4])
  if first and first ~= ARGV[3] then answer[4] = 1 end
end
return answer
