-- Forget a dead node's consumer, unless it holds entries: a node that was only paused may have claimed again meanwhile,
-- and deleting a consumer drops what is pending for it.
-- KEYS  1 queue stream
-- ARGV  1 node
-- Returns 1 when the consumer is gone
if redis.call('EXISTS', KEYS[1]) == 0 then return 1 end
if #redis.call('XPENDING', KEYS[1], 'runners', '-', '+', 1, ARGV[1]) > 0 then return 0 end
redis.call('XGROUP', 'DELCONSUMER', KEYS[1], 'runners', ARGV[1])
return 1
