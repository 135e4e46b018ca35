-- Put a record that was given up into its outbox again, at most once for what its guard names.
-- KEYS  1 outbox  2 outboxes  3 held  4 guard hash
-- ARGV  1 settled (msgpack)  2 invocation (msgpack)  3 outbox: ref and way  4 guard field  5 guard value
-- Returns 1, or 0 when it was done before
if redis.call('HGET', KEYS[4], ARGV[4]) == ARGV[5] then return 0 end
redis.call('XADD', KEYS[1], '*', 's', ARGV[1], 'i', ARGV[2])
redis.call('SADD', KEYS[2], ARGV[3])
redis.call('HINCRBY', KEYS[3], 'entries', 1)
redis.call('HINCRBY', KEYS[3], 'bytes', #ARGV[1] + #ARGV[2])
redis.call('HSET', KEYS[4], ARGV[4], ARGV[5])
return 1
