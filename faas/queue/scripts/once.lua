-- Claim an idempotency key for a call, or learn what became of the call that has it.
-- KEYS  1 once
-- ARGV  1 invocation id  2 digest of what is asked  3 for how many ms the claim holds until the call is accepted or answered
-- Returns {'new'} | {'other'} when it stands for something else | {'known', invocation id, accepted ('' or '1'), answer}
local held = redis.call('HMGET', KEYS[1], 'id', 'digest', 'accepted', 'answer')
if not held[1] then
  redis.call('HSET', KEYS[1], 'id', ARGV[1], 'digest', ARGV[2])
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
  return {'new'}
end
if held[2] ~= ARGV[2] then return {'other'} end
return {'known', held[1], held[3] or '', held[4] or ''}
