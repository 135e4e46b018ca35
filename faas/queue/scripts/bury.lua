-- Forget a dead node of which nothing is left. One that woke up meanwhile (its lease is back) stays known.
-- KEYS  1 nodes  2 the node's lease  3 running hash of the node  4 slots of the node
-- ARGV  1 node
-- Returns 1 when the node is forgotten
if redis.call('EXISTS', KEYS[2], KEYS[3]) > 0 then return 0 end
redis.call('SREM', KEYS[1], ARGV[1])
redis.call('DEL', KEYS[4])
return 1
