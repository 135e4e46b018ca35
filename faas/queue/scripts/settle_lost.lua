-- Settle a call that a dead node had been handed: its attempt is lost, also if the node was only paused and ends it yet.
-- A node that woke up meanwhile (its lease is back) settles its calls itself, and answers them.
-- KEYS  1 running hash of the node  2 counts  3 records  4 held  5 settled of the node  6 the node's lease
-- ARGV  1 field  2 record (msgpack)  3 the lease as it was when the node was found dead ('' for none)
-- Returns 1, or 0 when it was settled before or is not lost
local lease = redis.call('GET', KEYS[6])
if lease and lease ~= ARGV[3] then return 0 end
if redis.call('HDEL', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('SADD', KEYS[5], ARGV[1])
redis.call('HINCRBY', KEYS[2], 'accepted', 1)
redis.call('HINCRBY', KEYS[2], 'done', 1)
redis.call('XADD', KEYS[3], '*', 'r', ARGV[2])
redis.call('HINCRBY', KEYS[4], 'unrecorded', #ARGV[2])
return 1
