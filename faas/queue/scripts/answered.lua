-- Keep the answer of a call with an idempotency key, or let go of the key because there is none to keep.
-- Its first write is one that a full Redis lets through: the call has run.
-- KEYS  1 once  2 answers
-- ARGV  1 invocation id  2 answer (msgpack; '' for none)  3 for how many ms it is kept  4 function  5 caller ('' for none)
-- Returns 1, or 0 when the key is another call's by now; 1 too when the answer is kept already
local held = redis.call('HMGET', KEYS[1], 'id', 'answer')
if held[1] ~= ARGV[1] then return 0 end
if held[2] then return 1 end
if ARGV[2] == '' then return redis.call('DEL', KEYS[1]) end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('HSET', KEYS[1], 'answer', ARGV[2])
local size, shares = 300 + #ARGV[2], KEYS[2] .. ':shares'
redis.call('RPUSH', KEYS[2], size .. ' ' .. ARGV[1] .. ' ' .. KEYS[1] .. ' ' .. ARGV[4] .. ' ' .. ARGV[5])
redis.call('INCRBY', KEYS[2] .. ':bytes', size)
redis.call('HINCRBY', shares, ARGV[4], size)
if ARGV[5] ~= '' then redis.call('HINCRBY', shares, '@' .. ARGV[5], size) end
for _, key in ipairs({KEYS[2], KEYS[2] .. ':bytes', shares}) do redis.call('PEXPIRE', key, ARGV[3]) end
return 1
