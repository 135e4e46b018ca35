-- Claim waiting invocations of one revision for a node, sync ones first.
-- KEYS  1 sync stream  2 async stream
-- ARGV  1 node  2 how many
-- Returns a flat list: mode, entry id, invocation (msgpack), mode, ...
local claimed, left = {}, tonumber(ARGV[2])
for place, mode in ipairs({'sync', 'async'}) do
  if left > 0 and redis.call('EXISTS', KEYS[place]) == 1 then
    local got = redis.call('XREADGROUP', 'GROUP', 'runners', ARGV[1], 'COUNT', left, 'STREAMS', KEYS[place], '>')
    if got then
      for _, entry in ipairs(got[1][2]) do
        claimed[#claimed + 1] = mode
        claimed[#claimed + 1] = entry[1]
        claimed[#claimed + 1] = entry[2][2]
        left = left - 1
      end
    end
  end
end
return claimed
