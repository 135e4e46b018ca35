-- Put what has come due back into its queue (at its end). Safe with several schedulers: each one moves what is there.
-- It leaves its place first: a full Redis refuses a script whose first write takes memory, and this one makes room.
-- When Redis's clock was set back since the last look, nothing becomes due later for that: times are kept on one that only
-- stands still then, so many ms (`behind`) ahead of it. When it was set forward, what it jumped over is due.
-- KEYS  1 retrying  2 demand
-- ARGV  1 prefix of the platform's keys  2 how many at most
-- Returns {how many were moved, in how many ms the next is due (-1: none is)}
local prefix = ARGV[1]
local time = redis.call('TIME')
local clock = KEYS[1] .. ':clock'
local held = redis.call('HMGET', clock, 'last', 'behind')
local last, behind = tonumber(held[1] or 0), tonumber(held[2] or 0)
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
if last - now > 1000 then behind = behind + last - now end
local seen = now
now = now + behind
local ready = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[2])
for _, member in ipairs(ready) do
  local mode, ref, id = string.match(member, '^(%S+) (%S+) (%S+)$')
  local held, queue = prefix .. ':retrying:' .. ref, prefix .. ':q:' .. ref .. ':' .. mode
  local invocation = redis.call('HGET', held, id)
  redis.call('HDEL', held, id)
  redis.call('ZREM', KEYS[1], member)
  local entry = redis.call('XADD', queue, '*', 'i', invocation)
  redis.call('SADD', prefix .. ':refs:active', ref)
  if mode == 'async' then redis.call('HSET', prefix .. ':call:' .. id, 'entry', entry) end
  if redis.call('SET', prefix .. ':demanded:' .. ref, '1', 'NX', 'PX', 1000) then
    redis.call('XADD', KEYS[2], '*', 'ref', ref, 'why', 'waiting')
  end
end
redis.pcall('HSET', clock, 'last', seen, 'behind', behind) -- refused by a full Redis: then the next look finds it out
local first = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
return {#ready, first[2] and math.max(tonumber(first[2]) - now, 0) or -1}
