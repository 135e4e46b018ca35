-- Claim an idempotency key for a call, or learn what became of the call that has it.
-- KEYS  1 once  2 answers
-- ARGV  1 invocation id  2 digest of what is asked  3 for how many ms the claim holds until the call is accepted or answered
--       4 how many bytes the answers that are kept may have: past that no key is taken in
-- Returns {'full', bytes} | {'new'} | {'other'} when it stands for something else | {'known', invocation id, accepted ('' or '1'), answer}
local held = redis.call('HMGET', KEYS[1], 'id', 'digest', 'accepted', 'answer')
if not held[1] then
  local sizes = KEYS[2] .. ':bytes'
  local bytes = tonumber(redis.call('GET', sizes) or 0)
  for _ = 1, 100 do
    local first = redis.call('LINDEX', KEYS[2], 0)
    if not first then break end
    local size, id, key = string.match(first, '^(%d+) (%S+) (.+)$')
    if redis.call('HGET', key, 'id') == id then break end
    redis.call('LPOP', KEYS[2])
    bytes = redis.call('DECRBY', sizes, size)
  end
  if bytes >= tonumber(ARGV[4]) then return {'full', bytes} end
  redis.call('HSET', KEYS[1], 'id', ARGV[1], 'digest', ARGV[2])
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
  return {'new'}
end
if held[2] ~= ARGV[2] then return {'other'} end
return {'known', held[1], held[3] or '', held[4] or ''}
