-- Accept invocations of one revision and mode into its queue, as many as there is room for, in their order.
-- KEYS  1 queue stream  2 the revision's other queue stream  3 refs  4 counts  5 demand  6 demanded mark  7 held
--       8 and on, of async ones: the call of each
-- ARGV  1 ref  2 most that may wait  3 most entries and 4 most bytes of all that is held  5 most bytes of records that are
--       not in the ledger yet  6 function  7 and on, two for each: invocation (msgpack), its caller ('' for none)
-- Returns for each its entry id, or {'full', waiting} | {'entries' or 'bytes', held of all} | {'unrecorded', bytes}
--         | {'share', entries of the function, bytes of the function} | {'caller', the same of the caller}
--         | {'records', bytes of the function's records that are not in the ledger yet}
-- A function that has something here gets no more than what it leaves free to the others, a caller no more than half of
-- that. So whoever has nothing finds room, however much one or some of the others send.
local held = redis.call('HMGET', KEYS[7], 'entries', 'bytes', 'unrecorded')
local entries, bytes, unrecorded = tonumber(held[1] or 0), tonumber(held[2] or 0), tonumber(held[3] or 0)
local most, most_entries, most_bytes = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
-- What is claimed does not wait; how much that is need not be known while all of the stream is within the bound.
local waiting = redis.call('XLEN', KEYS[1])
local was_empty = waiting == 0
if waiting + (#ARGV - 6) / 2 > most and waiting > 0 then waiting = waiting - redis.call('XPENDING', KEYS[1], 'runners')[1] end
-- Whose shares are at stake: the function, and each caller that is met.
-- As long as less than the half is taken, nobody has more than is free.
local own_records = 0
if 2 * unrecorded >= tonumber(ARGV[5]) then
  own_records = tonumber(redis.call('HGET', KEYS[7] .. ':unrecorded', ARGV[6]) or 0)
end
local shares, is_async = KEYS[7] .. ':shares', KEYS[8] and true or false
local names, has, fields = {ARGV[6]}, {}, {}
for at = 8, #ARGV, 2 do
  if ARGV[at] ~= '' and not has['@' .. ARGV[at]] then
    names[#names + 1] = '@' .. ARGV[at]
    has[names[#names]] = true
  end
end
for place, name in ipairs(names) do fields[2 * place - 1], fields[2 * place] = name .. ' n', name end
local found = redis.call('HMGET', shares, unpack(fields))
for place, name in ipairs(names) do
  has[name] = {tonumber(found[2 * place - 1] or 0), tonumber(found[2 * place] or 0)}
end
local own = has[ARGV[6]]
local answer, accepted = {}, 0
for at = 7, #ARGV, 2 do
  local packed, place = ARGV[at], (at - 5) / 2
  local caller = has['@' .. ARGV[at + 1]]
  if waiting >= most then
    answer[place] = {'full', waiting}
  elseif entries >= most_entries then
    answer[place] = {'entries', entries}
  elseif bytes + #packed > most_bytes then
    answer[place] = {'bytes', bytes}
  elseif unrecorded >= tonumber(ARGV[5]) then
    answer[place] = {'unrecorded', unrecorded}
  elseif own_records > 0 and own_records >= tonumber(ARGV[5]) - unrecorded then
    answer[place] = {'records', own_records}
  elseif own[1] > 0 and (own[1] >= most_entries - entries - 1 or own[2] + #packed > most_bytes - bytes - #packed) then
    answer[place] = {'share', own[1], own[2]}
  elseif caller and caller[1] > 0 and (2 * caller[1] >= most_entries - entries - 1
      or 2 * (caller[2] + #packed) > most_bytes - bytes - #packed
      or (is_async and 2 * caller[1] >= most - waiting - 1)) then
    answer[place] = {'caller', caller[1], caller[2]}
  else
    -- A stream that exists has its group, and its revision is known.
    local entry = redis.call('XADD', KEYS[1], 'NOMKSTREAM', '*', 'i', packed)
    if not entry then
      redis.call('SADD', KEYS[3], ARGV[1])
      redis.pcall('XGROUP', 'CREATE', KEYS[1], 'runners', '0', 'MKSTREAM')
      redis.pcall('XGROUP', 'CREATE', KEYS[2], 'runners', '0', 'MKSTREAM')
      entry = redis.call('XADD', KEYS[1], '*', 'i', packed)
    end
    local call = KEYS[place + 7]
    if call then redis.call('HSET', call, 'ref', ARGV[1], 'entry', entry) end
    waiting, entries, bytes, accepted = waiting + 1, entries + 1, bytes + #packed, accepted + 1
    own[1], own[2] = own[1] + 1, own[2] + #packed
    if caller then caller[1], caller[2] = caller[1] + 1, caller[2] + #packed end
    answer[place] = entry
  end
end
if accepted > 0 then
  -- While a queue holds anything its revision is among the active ones.
  if was_empty then redis.call('SADD', KEYS[3] .. ':active', ARGV[1]) end
  redis.call('HSET', KEYS[7], 'entries', entries, 'bytes', bytes)
  local set = {'HSET', shares}
  for _, name in ipairs(names) do
    if has[name][1] > 0 then
      local last = #set
      set[last + 1], set[last + 2], set[last + 3], set[last + 4] = name .. ' n', has[name][1], name, has[name][2]
    end
  end
  redis.call(unpack(set))
  redis.call('HINCRBY', KEYS[4], 'accepted', accepted)
  if redis.call('SET', KEYS[6], '1', 'NX', 'PX', 1000) then
    redis.call('XADD', KEYS[5], '*', 'ref', ARGV[1], 'why', 'waiting')
  end
end
return answer
