-- For which revisions something waits. Those whose queues hold nothing are active no more, and asked no more.
-- KEYS  1 refs
-- ARGV  1 prefix of the platform's keys
-- Returns a list of refs
local answer, active = {}, KEYS[1] .. ':active'
for _, ref in ipairs(redis.call('SMEMBERS', active)) do
  local held, waiting = 0, 0
  for _, mode in ipairs({'sync', 'async'}) do
    local stream = ARGV[1] .. ':q:' .. ref .. ':' .. mode
    local length = redis.call('XLEN', stream)
    held = held + length
    if length > 0 then waiting = waiting + length - redis.call('XPENDING', stream, 'runners')[1] end
  end
  if held == 0 then redis.call('SREM', active, ref) end
  if waiting > 0 then answer[#answer + 1] = ref end
end
return answer
