-- Some invocations of one function that are in the queues, newest first, and some that are due again.
-- KEYS  1 refs
-- ARGV  1 prefix of the platform's keys  2 function  3 how many of each place at most
-- Returns a flat list: place, invocation (msgpack), place, ...; no more than about 8 MB, as events may be large
local prefix, answer, room = ARGV[1], {}, 8388608
local function add(place, packed)
  if room <= 0 then return end
  room = room - #packed
  answer[#answer + 1] = place
  answer[#answer + 1] = packed
end
for _, ref in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  if string.match(ref, '^(.*)@%d+$') == ARGV[2] then
    for _, mode in ipairs({'sync', 'async'}) do
      local queue = prefix .. ':q:' .. ref .. ':' .. mode
      for _, entry in ipairs(redis.call('XREVRANGE', queue, '+', '-', 'COUNT', ARGV[3])) do
        local claimed = #redis.call('XPENDING', queue, 'runners', entry[1], entry[1], 1) > 0
        add(claimed and 'running' or 'waiting', entry[2][2])
      end
    end
    local held = redis.call('HSCAN', prefix .. ':retrying:' .. ref, 0, 'COUNT', ARGV[3])[2]
    for place = 2, math.min(#held, 2 * tonumber(ARGV[3])), 2 do add('retrying', held[place]) end
  end
end
return answer
