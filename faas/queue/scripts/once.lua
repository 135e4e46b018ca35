-- Claim an idempotency key for a call, or learn what became of the call that has it.
-- KEYS  1 once  2 answers
-- ARGV  1 invocation id  2 digest of what is asked  3 for how many ms the claim holds until the call is accepted or answered
--       4 how many bytes the answers that are kept may have: past that no key is taken in
--       5 function  6 caller ('' for none), each of whom has a share: see enqueue.lua
-- Returns {'full', bytes} | {'share' or 'caller', bytes of the function, or the caller} | {'new'} | {'other'} when it stands for something else | {'known', invocation id, accepted ('' or '1'), answer}
local held = redis.call('HMGET', KEYS[1], 'id', 'digest', 'accepted', 'answer')
if not held[1] then
  local sizes, shares = KEYS[2] .. ':bytes', KEYS[2] .. ':shares'
  local bytes = tonumber(redis.call('GET', sizes) or 0)
  for _ = 1, 100 do
    local first = redis.call('LINDEX', KEYS[2], 0)
    if not first then break end
    local size, id, key, by, caller = string.match(first, '^(%d+) (%S+) (%S+) ?(%S*) ?(%S*)$')
    if redis.call('HGET', key, 'id') == id then break end
    redis.call('LPOP', KEYS[2])
    bytes = redis.call('DECRBY', sizes, size)
    for _, of in ipairs({by, '@' .. caller}) do
      if of ~= '' and of ~= '@' and redis.call('HINCRBY', shares, of, 0 - size) <= 0 then redis.call('HDEL', shares, of) end
    end
  end
  local free = tonumber(ARGV[4]) - bytes
  if free <= 0 then return {'full', bytes} end
  local own = redis.call('HMGET', shares, ARGV[5], '@' .. ARGV[6])
  if tonumber(own[1] or 0) >= free then return {'share', own[1]} end
  if 2 * tonumber(own[2] or 0) >= free then return {'caller', own[2]} end
  redis.call('HSET', KEYS[1], 'id', ARGV[1], 'digest', ARGV[2])
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
  return {'new'}
end
if held[2] ~= ARGV[2] then return {'other'} end
return {'known', held[1], held[3] or '', held[4] or ''}
