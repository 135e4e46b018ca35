-- Keep the answer of a call with an idempotency key, or let go of the key because there is none to keep.
-- Its first write is one that a full Redis lets through: the call has run.
-- KEYS  1 once  2 answers
-- ARGV  1 invocation id  2 answer (msgpack; '' for none)  3 for how many ms it is kept
-- Returns 1, or 0 when the key is another call's by now; 1 too when the answer is kept already
local held = redis.call('HMGET', KEYS[1], 'id', 'answer')
if held[1] ~= ARGV[1] then return 0 end
if held[2] then return 1 end
if ARGV[2] == '' then return redis.call('DEL', KEYS[1]) end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('HSET', KEYS[1], 'answer', ARGV[2])
redis.call('RPUSH', KEYS[2], 300 + #ARGV[2] .. ' ' .. ARGV[1] .. ' ' .. KEYS[1])
redis.call('INCRBY', KEYS[2] .. ':bytes', 300 + #ARGV[2])
redis.call('PEXPIRE', KEYS[2], ARGV[3])
redis.call('PEXPIRE', KEYS[2] .. ':bytes', ARGV[3])
return 1
