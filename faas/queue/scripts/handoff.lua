-- Write down that a sync call was handed to a slot of its node; it is accepted and running from here on.
-- KEYS  1 running hash of the node  2 counts
-- ARGV  1 field (ref and id)  2 invocation without its event (msgpack)
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('HINCRBY', KEYS[2], 'accepted', 1)
return 1
