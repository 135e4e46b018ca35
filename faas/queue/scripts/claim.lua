-- Claim waiting invocations of one revision for a node, sync ones first.
-- KEYS  1 sync stream  2 async stream
-- ARGV  1 node  2 how many
-- Returns the claimed entries
local claimed = {}
for place = 1, 2 do
  local left = tonumber(ARGV[2]) - #claimed
  if left > 0 and redis.call('EXISTS', KEYS[place]) == 1 then
    local got = redis.call('XREADGROUP', 'GROUP', 'runners', ARGV[1], 'COUNT', left, 'STREAMS', KEYS[place], '>')
    for _, entry in ipairs(got and got[1][2] or {}) do claimed[#claimed + 1] = entry end
  end
end
return claimed
