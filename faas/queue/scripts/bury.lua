-- Forget a dead node of which nothing is left. One that woke up meanwhile (its lease is back) stays known.
-- What it may not have heard of is kept for a day, for one that wakes up later.
-- KEYS  1 nodes  2 the node's lease  3 running hash of the node  4 slots of the node  5 settled of the node
-- ARGV  1 node  2 the lease as it was when the node was found dead ('' for none)
-- Returns 1 when the node is forgotten
local lease = redis.call('GET', KEYS[2])
if lease and lease ~= ARGV[2] or redis.call('EXISTS', KEYS[3]) == 1 then return 0 end
redis.call('SREM', KEYS[1], ARGV[1])
redis.call('DEL', KEYS[2], KEYS[4])
redis.call('PEXPIRE', KEYS[5], 86400000)
return 1
