-- Settle a call that a dead node had been handed: its attempt is lost.
-- KEYS  1 running hash of the node  2 counts  3 records
-- ARGV  1 field  2 record (msgpack)
if redis.call('HDEL', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('HINCRBY', KEYS[2], 'done', 1)
redis.call('XADD', KEYS[3], '*', 'r', ARGV[2])
return 1
