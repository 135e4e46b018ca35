-- Take records out of an outbox to deliver them: first what a scheduler took that has gone, then what nobody has taken.
-- They stay in the outbox until they are delivered or given up.
-- KEYS  1 outbox
-- ARGV  1 scheduler  2 how many at most  3 since how many ms a scheduler that has gone has not said that it has them
-- Returns a flat list: entry id, settled (msgpack), invocation (msgpack), how often it was taken, ...
if redis.call('EXISTS', KEYS[1]) == 0 then return {} end
redis.pcall('XGROUP', 'CREATE', KEYS[1], 'destinations', '0')
local answer, left = {}, tonumber(ARGV[2])
local function add(entry)
  if not entry then return end
  local held = redis.call('XPENDING', KEYS[1], 'destinations', entry[1], entry[1], 1)[1]
  for _, part in ipairs({entry[1], entry[2][2], entry[2][4], held[4]}) do answer[#answer + 1] = part end
  left = left - 1
end
-- Not XAUTOCLAIM: it looks at ten entries for each that it may take, so that a hundred that are held still would hide
-- the stale ones behind them.
local stale = redis.call('XPENDING', KEYS[1], 'destinations', 'IDLE', ARGV[3], '-', '+', left)
if #stale > 0 then
  local claim = {'XCLAIM', KEYS[1], 'destinations', ARGV[1], ARGV[3]}
  for _, held in ipairs(stale) do claim[#claim + 1] = held[1] end
  for _, entry in ipairs(redis.call(unpack(claim))) do add(entry) end
end
if left > 0 then
  local got = redis.call('XREADGROUP', 'GROUP', 'destinations', ARGV[1], 'COUNT', left, 'STREAMS', KEYS[1], '>')
  if got then
    for _, entry in ipairs(got[1][2]) do add(entry) end
  end
end
return answer
