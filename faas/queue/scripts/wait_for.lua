-- Let entries of the records stream wait for a sink. It writes only what is not so yet: a full Redis takes no writes.
-- KEYS  1 sinks
-- ARGV  1 the sink's group  2 must, or may when it may miss some
if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1
