-- Where an async invocation is.
-- KEYS  1 call  2 retrying
-- ARGV  1 prefix of the platform's keys  2 invocation id
-- Returns {} when nothing is known | {'done' or 'dead', outcome} | {'running', invocation, node, for how many ms}
--         | {'waiting', invocation} | {'retrying', invocation, due, why}
local held = redis.call('HMGET', KEYS[1], 'ref', 'entry', 'why', 'settled', 'outcome')
local ref, entry = held[1], held[2]
if held[4] then return {held[4], held[5]} end
if not ref then return {} end
if entry == '' then
  local due = redis.call('ZSCORE', KEYS[2], 'async ' .. ref .. ' ' .. ARGV[2])
  local behind = tonumber(redis.call('HGET', KEYS[2] .. ':clock', 'behind') or 0)
  local known = redis.call('HGET', ARGV[1] .. ':retrying:' .. ref, ARGV[2])
  return {'retrying', known, due and string.format('%.0f', due - behind), held[3] or ''}
end
local queue = ARGV[1] .. ':q:' .. ref .. ':async'
local found = redis.call('XRANGE', queue, entry, entry)[1]
if not found then return {} end
local claimed = redis.call('XPENDING', queue, 'runners', entry, entry, 1)[1]
if claimed then return {'running', found[2][2], claimed[2], claimed[3]} end
return {'waiting', found[2][2]}
