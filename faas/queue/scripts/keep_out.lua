-- Say that a scheduler still has records that it took, or (at its end) that it has them no more.
-- KEYS  1 outbox
-- ARGV  1 scheduler  2 for how many ms it shall seem not to have said so (0, or so long that others take them at once)
--       3 and on: entry ids
-- Returns how many were still its own
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.pcall('XGROUP', 'CREATE', KEYS[1], 'destinations', '0')
local kept = 0
for place = 3, #ARGV do
  local id = ARGV[place]
  if redis.call('XPENDING', KEYS[1], 'destinations', id, id, 1, ARGV[1])[1] then
    redis.call('XCLAIM', KEYS[1], 'destinations', ARGV[1], 0, id, 'IDLE', ARGV[2], 'JUSTID')
    kept = kept + 1
  end
end
return kept
