-- Forget a dead node of which nothing is left. One that woke up meanwhile (its lease is back) stays known.
-- KEYS  1 nodes  2 the node's lease  3 slots of the node
-- ARGV  1 node  2 the lease as it was when the node was found dead ('' for none)
-- Returns 1 when the node is forgotten
local lease = redis.call('GET', KEYS[2])
if lease and lease ~= ARGV[2] then return 0 end
redis.call('SREM', KEYS[1], ARGV[1])
redis.call('DEL', KEYS[2], KEYS[3])
return 1
