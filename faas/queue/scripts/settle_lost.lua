-- Settle a call that a dead node had been handed: its attempt is lost, also if the node was only paused and ends it yet.
-- KEYS  1 running hash of the node  2 counts  3 records  4 held  5 settled of the node
-- ARGV  1 field  2 record (msgpack)
-- Returns 1, or 0 when it was settled before
if redis.call('HDEL', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('SADD', KEYS[5], ARGV[1])
redis.call('HINCRBY', KEYS[2], 'accepted', 1)
redis.call('HINCRBY', KEYS[2], 'done', 1)
redis.call('XADD', KEYS[3], '*', 'r', ARGV[2])
redis.call('HINCRBY', KEYS[4], 'unrecorded', #ARGV[2])
return 1
