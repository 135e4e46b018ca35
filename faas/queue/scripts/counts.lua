-- Where all invocations are, at one instant.
-- KEYS  1 refs, or the active ones of them
-- ARGV  1 prefix of the platform's keys
-- Returns a flat list: ref, accepted, waiting, running, retrying, done, dead, age in ms of the oldest waiting entry, ref, ...
local prefix = ARGV[1]
local time, answer = redis.call('TIME'), {}
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
for _, ref in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  local waiting, running, oldest = 0, 0, 0
  for _, mode in ipairs({'sync', 'async'}) do
    local stream = prefix .. ':q:' .. ref .. ':' .. mode
    local length = redis.call('XLEN', stream)
    if length > 0 then
      local pending = redis.call('XPENDING', stream, 'runners')[1]
      running = running + pending
      waiting = waiting + length - pending
      if length > pending then
        local groups = redis.call('XINFO', 'GROUPS', stream)[1]
        local last = '0-0'
        for place = 1, #groups, 2 do
          if groups[place] == 'last-delivered-id' then last = groups[place + 1] end
        end
        local first = redis.call('XRANGE', stream, '(' .. last, '+', 'COUNT', 1)[1]
        if first then oldest = math.max(oldest, now - tonumber(string.match(first[1], '^(%d+)'))) end
      end
    end
  end
  local counts = redis.call('HMGET', prefix .. ':counts:' .. ref, 'accepted', 'done', 'dead')
  answer[#answer + 1] = ref
  answer[#answer + 1] = tonumber(counts[1] or 0)
  answer[#answer + 1] = waiting
  answer[#answer + 1] = running
  answer[#answer + 1] = redis.call('HLEN', prefix .. ':retrying:' .. ref)
  answer[#answer + 1] = tonumber(counts[2] or 0)
  answer[#answer + 1] = tonumber(counts[3] or 0)
  answer[#answer + 1] = oldest
end
return answer
