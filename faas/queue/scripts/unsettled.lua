-- Some invocations of one function that are in the queues, newest first, and some that are due again.
-- KEYS  1 refs
-- ARGV  1 prefix of the platform's keys  2 function  3 how many of each place at most
-- Returns a flat list: place, invocation (msgpack), place, ...; no more than about 8 MB, as events may be large. No more
--         than that is looked at either, some entries at a time: Redis does nothing else meanwhile.
local prefix, answer, room, most = ARGV[1], {}, 8388608, tonumber(ARGV[3])
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
      local last, left = '+', most
      while last and left > 0 and room > 0 do
        local page = redis.call('XREVRANGE', queue, last, '-', 'COUNT', math.min(left, 20))
        for _, entry in ipairs(page) do
          local claimed = #redis.call('XPENDING', queue, 'runners', entry[1], entry[1], 1) > 0
          add(claimed and 'running' or 'waiting', entry[2][2])
        end
        left = left - 20
        last = #page == 20 and '(' .. page[20][1] or false
      end
    end
    local cursor, left = '0', most
    while cursor and left > 0 and room > 0 do
      local found = redis.call('HSCAN', prefix .. ':retrying:' .. ref, cursor, 'COUNT', math.min(left, 20))
      local held = found[2]
      for place = 2, math.min(#held, 2 * left), 2 do add('retrying', held[place]) end
      left = left - #held / 2
      cursor = found[1] ~= '0' and found[1] or false
    end
  end
end
return answer
