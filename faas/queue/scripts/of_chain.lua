-- The invocations of one chain that are in the queues or due later, and those whose records wait for a destination, as far
-- as a bounded look finds them.
-- KEYS  1 active  2 retrying  3 outboxes
-- ARGV  1 prefix of the platform's keys  2 id of the chain's first invocation  3 how many entries to look at at most
--       4 and about how many bytes
-- Returns a flat list: 1 when not all was looked at, else 0; then place, invocation (msgpack), node or '', and for how
--         many ms it runs or when it is due; place, ... Of the place 'delivering' the way stands for the node.
-- An event that holds the id is found, too: the caller looks whose the invocation is.
local prefix, root, left, room = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local answer = {0}
local function holds(packed)
  left = left - 1
  room = room - #packed
  return string.find(packed, root, 1, true)
end
local function add(place, packed, node, number)
  local at = #answer
  answer[at + 1], answer[at + 2], answer[at + 3], answer[at + 4] = place, packed, node, number
end
for _, ref in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  for _, mode in ipairs({'sync', 'async'}) do
    local queue, last = prefix .. ':q:' .. ref .. ':' .. mode, '+'
    while last do
      if left <= 0 or room <= 0 then
        if redis.call('EXISTS', queue) == 1 then answer[1] = 1 end
        break
      end
      local page = redis.call('XREVRANGE', queue, last, '-', 'COUNT', 20)
      for _, entry in ipairs(page) do
        if holds(entry[2][2]) then
          local claimed = redis.call('XPENDING', queue, 'runners', entry[1], entry[1], 1)[1]
          if claimed then add('running', entry[2][2], claimed[2], claimed[3])
          else add('waiting', entry[2][2], '', 0) end
        end
      end
      last = #page == 20 and '(' .. page[20][1] or false
    end
  end
end
for _, outbox in ipairs(redis.call('SMEMBERS', KEYS[3])) do
  local ref, way = string.match(outbox, '^(%S+) (%S+)$')
  local stream, last = prefix .. ':outbox:' .. ref .. ':' .. way, way ~= 'message' and '+'
  while last do
    if left <= 0 or room <= 0 then
      if redis.call('EXISTS', stream) == 1 then answer[1] = 1 end
      break
    end
    local page = redis.call('XREVRANGE', stream, last, '-', 'COUNT', 20)
    for _, entry in ipairs(page) do
      for at = 1, #entry[2], 2 do
        if entry[2][at] == 'i' and holds(entry[2][at + 1]) then add('delivering', entry[2][at + 1], way, 0) end
      end
    end
    last = #page == 20 and '(' .. page[20][1] or false
  end
end
local behind = tonumber(redis.call('HGET', KEYS[2] .. ':clock', 'behind') or 0)
local first = 0
while true do
  local page = redis.call('ZRANGE', KEYS[2], first, first + 19, 'WITHSCORES')
  if #page == 0 then break end
  if left <= 0 or room <= 0 then
    answer[1] = 1
    break
  end
  for at = 1, #page, 2 do
    local ref, id = string.match(page[at], '^%S+ (%S+) (%S+)$')
    local packed = ref and redis.call('HGET', prefix .. ':retrying:' .. ref, id)
    if packed and holds(packed) then add('retrying', packed, '', math.floor(tonumber(page[at + 1]) - behind)) end
  end
  first = first + 20
end
return answer
