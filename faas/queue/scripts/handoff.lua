-- Make sure that it is written down that a sync call was handed to a slot of its node, and is accepted and running.
-- KEYS  1 running hash of the node  2 counts
-- ARGV  1 field (ref and id)  2 invocation without its event (msgpack)
if redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) == 1 then redis.call('HINCRBY', KEYS[2], 'accepted', 1) end
return 1
