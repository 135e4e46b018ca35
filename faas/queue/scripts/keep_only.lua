-- Let entries of the records stream wait for no sinks but some (and the ledger).
-- KEYS  1 sinks  2 records
-- ARGV  the groups that stay
-- Returns the groups that were removed
local stays, gone = {}, {}
for _, group in ipairs(ARGV) do stays[group] = true end
for _, group in ipairs(redis.call('HKEYS', KEYS[1])) do
  if not stays[group] then
    redis.call('HDEL', KEYS[1], group)
    if redis.call('EXISTS', KEYS[2]) == 1 then redis.call('XGROUP', 'DESTROY', KEYS[2], group) end
    gone[#gone + 1] = group
  end
end
return gone
