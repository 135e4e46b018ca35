-- Renew a node's lease. A full Redis refuses a script whose first write takes memory; this one has to pass: what ends
-- its nodes' work makes the room.
-- KEYS  1 nodes  2 the node's lease  3 slots of the node
-- ARGV  1 node  2 what it says of itself (JSON)  3 for how many ms the lease holds
redis.call('PEXPIRE', KEYS[3], ARGV[3])
redis.call('SADD', KEYS[1], ARGV[1])
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
return 1
