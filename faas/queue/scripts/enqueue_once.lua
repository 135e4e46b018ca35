-- Accept an invocation into its revision's queue, or let it wait until it is due, at most once for what its guard names.
-- KEYS  1 queue stream  2 the revision's other queue stream  3 refs  4 counts  5 demand  6 demanded mark  7 guard hash
--       8 held; of async ones only: 9 call  10 retrying  11 retrying of the revision  12 once and 13 answers (with an idempotency key)
-- ARGV  1 ref  2 invocation (msgpack)  3 most that may wait  4 guard field ('' for none)  5 guard value
--       6 '1' when the guard's values are integers that only grow  7 most entries and 8 most bytes of all that is held
--       9 most bytes of records that are not in the ledger yet  10 function  11 its caller ('' for none)
--       of async ones only: 12 invocation id  13 due in how many ms (0: now)  14 for how many ms the key stands for it
-- Returns {'ok', entry id ('' when it is not due yet)} | {'full', waiting} | {'entries' or 'bytes', held of all}
--         | {'share', entries and bytes of the function} | {'caller', entries and bytes of the caller}: see enqueue.lua
--         | {'unrecorded', bytes of such records} | {'records', those of the function} | {'known'} | {'lapsed'} when the idempotency key is not this call's any more
if KEYS[12] and redis.call('HGET', KEYS[12], 'id') ~= ARGV[12] then return {'lapsed'} end
local field, value = ARGV[4], ARGV[5]
if field ~= '' then
  local held = redis.call('HGET', KEYS[7], field)
  if held then
    if ARGV[6] == '1' then
      if tonumber(held) >= tonumber(value) then return {'known'} end
    elseif held == value then
      return {'known'}
    end
  end
end
if redis.call('SADD', KEYS[3], ARGV[1]) == 1 then
  redis.pcall('XGROUP', 'CREATE', KEYS[1], 'runners', '0', 'MKSTREAM')
  redis.pcall('XGROUP', 'CREATE', KEYS[2], 'runners', '0', 'MKSTREAM')
end
local waiting = redis.call('XLEN', KEYS[1]) - redis.call('XPENDING', KEYS[1], 'runners')[1]
if waiting >= tonumber(ARGV[3]) then return {'full', waiting} end
local held = redis.call('HMGET', KEYS[8], 'entries', 'bytes', 'unrecorded')
if tonumber(held[1] or 0) >= tonumber(ARGV[7]) then return {'entries', tonumber(held[1])} end
if tonumber(held[2] or 0) + #ARGV[2] > tonumber(ARGV[8]) then return {'bytes', tonumber(held[2] or 0)} end
if tonumber(held[3] or 0) >= tonumber(ARGV[9]) then return {'unrecorded', tonumber(held[3])} end
if 2 * tonumber(held[3] or 0) >= tonumber(ARGV[9]) then
  local own = tonumber(redis.call('HGET', KEYS[8] .. ':unrecorded', ARGV[10]) or 0)
  if own > 0 and own >= tonumber(ARGV[9]) - tonumber(held[3]) then return {'records', own} end
end
local shares, by, caller, size = KEYS[8] .. ':shares', ARGV[10], '@' .. ARGV[11], #ARGV[2]
local free_entries, free_bytes = tonumber(ARGV[7]) - tonumber(held[1] or 0), tonumber(ARGV[8]) - tonumber(held[2] or 0)
local own = redis.call('HMGET', shares, by .. ' n', by, caller .. ' n', caller)
for place = 1, 4 do own[place] = tonumber(own[place] or 0) end
if own[1] > 0 and (own[1] >= free_entries - 1 or own[2] + size > free_bytes - size) then
  return {'share', own[1], own[2]}
end
local is_async = KEYS[9] and true or false
if caller ~= '@' and own[3] > 0 and (2 * own[3] >= free_entries - 1 or 2 * (own[4] + size) > free_bytes - size
    or (is_async and 2 * own[3] >= tonumber(ARGV[3]) - waiting - 1)) then
  return {'caller', own[3], own[4]}
end
redis.call('HINCRBY', KEYS[4], 'accepted', 1)
if field ~= '' then redis.call('HSET', KEYS[7], field, value) end
local delay, entry = tonumber(ARGV[13] or 0), ''
if delay > 0 then
  local time = redis.call('TIME')
  local behind = tonumber(redis.call('HGET', KEYS[10] .. ':clock', 'behind') or 0)
  local due = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000) + behind + delay
  redis.call('ZADD', KEYS[10], due, 'async ' .. ARGV[1] .. ' ' .. ARGV[12])
  redis.call('HSET', KEYS[11], ARGV[12], ARGV[2])
else
  entry = redis.call('XADD', KEYS[1], '*', 'i', ARGV[2])
  redis.call('SADD', KEYS[3] .. ':active', ARGV[1])
end
redis.call('HINCRBY', KEYS[8], 'entries', 1)
redis.call('HINCRBY', KEYS[8], 'bytes', size)
for _, of in ipairs(caller == '@' and {by} or {by, caller}) do
  redis.call('HINCRBY', shares, of .. ' n', 1)
  redis.call('HINCRBY', shares, of, size)
end
if KEYS[9] then redis.call('HSET', KEYS[9], 'ref', ARGV[1], 'entry', entry) end
if KEYS[12] then
  redis.call('HSET', KEYS[12], 'accepted', '1')
  redis.call('RPUSH', KEYS[13], 300 .. ' ' .. ARGV[12] .. ' ' .. KEYS[12] .. ' ' .. by .. ' ' .. ARGV[11])
  redis.call('INCRBY', KEYS[13] .. ':bytes', 300)
  redis.call('HINCRBY', KEYS[13] .. ':shares', by, 300)
  if caller ~= '@' then redis.call('HINCRBY', KEYS[13] .. ':shares', caller, 300) end
  for _, key in ipairs({KEYS[12], KEYS[13], KEYS[13] .. ':bytes', KEYS[13] .. ':shares'}) do
    redis.call('PEXPIRE', key, ARGV[14])
  end
end
if delay == 0 and redis.call('SET', KEYS[6], '1', 'NX', 'PX', 1000) then
  redis.call('XADD', KEYS[5], '*', 'ref', ARGV[1], 'why', 'waiting')
end
return {'ok', entry}
