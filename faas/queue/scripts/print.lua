-- Put what a sandbox printed between attempts among the records, unless so much waits for the ledger that there is no room.
-- KEYS  1 records  2 held
-- ARGV  1 what was printed (msgpack)  2 most bytes of records that may wait
-- Returns 1 when it was put there, else 0
local waits = tonumber(redis.call('HGET', KEYS[2], 'unrecorded') or 0)
if waits + #ARGV[1] > tonumber(ARGV[2]) then return 0 end
redis.call('XADD', KEYS[1], '*', 'o', ARGV[1])
redis.call('HINCRBY', KEYS[2], 'unrecorded', #ARGV[1])
return 1
