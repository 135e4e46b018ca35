-- Remove a record from its outbox that is delivered, or given up and written down elsewhere.
-- KEYS  1 outbox  2 held
-- ARGV  1 entry id  2 function, whose share it is ('' for messages)
-- Returns 1, or 0 when it was removed before
local entry = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])[1]
if not entry then return 0 end
redis.call('XACK', KEYS[1], 'destinations', ARGV[1])
redis.call('XDEL', KEYS[1], ARGV[1])
hold(KEYS[2], ARGV[2], '', -1, -#entry[2][2] - #entry[2][4])
return 1
