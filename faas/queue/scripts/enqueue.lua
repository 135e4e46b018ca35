-- Accept invocations of one revision and mode into its queue, as many as there is room for, in their order.
-- KEYS  1 queue stream  2 the revision's other queue stream  3 refs  4 counts  5 demand  6 demanded mark  7 held
--       8 and on, of async ones: the call of each
-- ARGV  1 ref  2 most that may wait  3 most entries and 4 most bytes of all that is held  5 most bytes of records that are
--       not in the ledger yet  6 and on: invocations (msgpack)
-- Returns for each its entry id, or {'full', waiting} | {'entries' or 'bytes', held of all} | {'unrecorded', bytes}
local held = redis.call('HMGET', KEYS[7], 'entries', 'bytes', 'unrecorded')
local entries, bytes, unrecorded = tonumber(held[1] or 0), tonumber(held[2] or 0), tonumber(held[3] or 0)
local most, most_entries, most_bytes = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
-- What is claimed does not wait; how much that is need not be known while all of the stream is within the bound.
local waiting = redis.call('XLEN', KEYS[1])
if waiting + #ARGV - 5 > most and waiting > 0 then waiting = waiting - redis.call('XPENDING', KEYS[1], 'runners')[1] end
local answer, accepted = {}, 0
for at = 6, #ARGV do
  local packed = ARGV[at]
  if waiting >= most then
    answer[at - 5] = {'full', waiting}
  elseif entries >= most_entries then
    answer[at - 5] = {'entries', entries}
  elseif bytes + #packed > most_bytes then
    answer[at - 5] = {'bytes', bytes}
  elseif unrecorded >= tonumber(ARGV[5]) then
    answer[at - 5] = {'unrecorded', unrecorded}
  else
    -- A stream that exists has its group, and its revision is known.
    local entry = redis.call('XADD', KEYS[1], 'NOMKSTREAM', '*', 'i', packed)
    if not entry then
      redis.call('SADD', KEYS[3], ARGV[1])
      redis.pcall('XGROUP', 'CREATE', KEYS[1], 'runners', '0', 'MKSTREAM')
      redis.pcall('XGROUP', 'CREATE', KEYS[2], 'runners', '0', 'MKSTREAM')
      entry = redis.call('XADD', KEYS[1], '*', 'i', packed)
    end
    local call = KEYS[at + 2]
    if call then redis.call('HSET', call, 'ref', ARGV[1], 'entry', entry) end
    waiting, entries, bytes, accepted = waiting + 1, entries + 1, bytes + #packed, accepted + 1
    answer[at - 5] = entry
  end
end
if accepted > 0 then
  redis.call('HSET', KEYS[7], 'entries', entries, 'bytes', bytes)
  redis.call('HINCRBY', KEYS[4], 'accepted', accepted)
  if redis.call('SET', KEYS[6], '1', 'NX', 'PX', 1000) then
    redis.call('XADD', KEYS[5], '*', 'ref', ARGV[1], 'why', 'waiting')
  end
end
return answer
