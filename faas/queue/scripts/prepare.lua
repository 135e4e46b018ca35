-- Make the queues of a revision that a node has a slot for, so that it may park a read on them.
-- A full Redis refuses a script whose first write takes memory; this one has to pass, or what waits could not be run.
-- KEYS  1 sync stream  2 async stream  3 refs
-- ARGV  1 ref
redis.call('PERSIST', KEYS[3])
redis.call('SADD', KEYS[3], ARGV[1])
redis.pcall('XGROUP', 'CREATE', KEYS[1], 'runners', '0', 'MKSTREAM')
redis.pcall('XGROUP', 'CREATE', KEYS[2], 'runners', '0', 'MKSTREAM')
return 1
