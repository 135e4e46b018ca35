-- Settle a call that a node of format 4 or before had been handed off, and that nobody ends any more: its attempt is lost.
-- KEYS  1 running hash of the node  2 counts  3 records  4 held
-- ARGV  1 field  2 record (msgpack)  3 function  4 '1' when it is to be counted as accepted, too: before format 3 it was at its start
-- Returns 1, or 0 when it was settled before
if redis.call('HDEL', KEYS[1], ARGV[1]) == 0 then return 0 end
if ARGV[4] == '1' then redis.call('HINCRBY', KEYS[2], 'accepted', 1) end
redis.call('HINCRBY', KEYS[2], 'done', 1)
redis.call('XADD', KEYS[3], '*', 'r', ARGV[2])
unrecorded(KEYS[4], ARGV[3], #ARGV[2])
return 1
