-- Records are in the ledger (or set aside): they leave the stream.
-- KEYS  1 records  2 held
-- ARGV  entry id, bytes of the record and what came with it, entry id, ...
local bytes = 0
for place = 1, #ARGV, 2 do
  redis.call('XACK', KEYS[1], 'recorders', ARGV[place])
  if redis.call('XDEL', KEYS[1], ARGV[place]) == 1 then bytes = bytes + tonumber(ARGV[place + 1]) end
end
if redis.call('XLEN', KEYS[1]) == 0 then
  redis.call('HSET', KEYS[2], 'unrecorded', 0)
else
  redis.call('HINCRBY', KEYS[2], 'unrecorded', -bytes)
end
return bytes
