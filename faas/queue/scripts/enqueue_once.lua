-- Accept an invocation into its revision's queue, or let it wait until it is due, at most once for what its guard names.
-- KEYS  1 queue stream  2 the revision's other queue stream  3 refs  4 counts  5 demand  6 demanded mark  7 guard hash
--       8 held; of async ones only: 9 call  10 retrying  11 retrying of the revision  12 once and 13 answers (with an idempotency key)
-- ARGV  1 ref  2 invocation (msgpack)  3 most that may wait  4 guard field ('' for none)  5 guard value
--       6 '1' when the guard's values are integers that only grow  7 most entries and 8 most bytes of all that is held
--       9 most bytes of records that are not in the ledger yet
--       of async ones only: 10 invocation id  11 due in how many ms (0: now)  12 for how many ms the key stands for it
-- Returns {'ok', entry id ('' when it is not due yet)} | {'full', waiting} | {'entries' or 'bytes', held of all}
--         | {'unrecorded', bytes of such records} | {'known'} | {'lapsed'} when the idempotency key is not this call's any more
if KEYS[12] and redis.call('HGET', KEYS[12], 'id') ~= ARGV[10] then return {'lapsed'} end
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
redis.call('HINCRBY', KEYS[4], 'accepted', 1)
if field ~= '' then redis.call('HSET', KEYS[7], field, value) end
local delay, entry = tonumber(ARGV[11] or 0), ''
if delay > 0 then
  local time = redis.call('TIME')
  local behind = tonumber(redis.call('HGET', KEYS[10] .. ':clock', 'behind') or 0)
  local due = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000) + behind + delay
  redis.call('ZADD', KEYS[10], due, 'async ' .. ARGV[1] .. ' ' .. ARGV[10])
  redis.call('HSET', KEYS[11], ARGV[10], ARGV[2])
else
  entry = redis.call('XADD', KEYS[1], '*', 'i', ARGV[2])
end
redis.call('HINCRBY', KEYS[8], 'entries', 1)
redis.call('HINCRBY', KEYS[8], 'bytes', #ARGV[2])
if KEYS[9] then redis.call('HSET', KEYS[9], 'ref', ARGV[1], 'entry', entry) end
if KEYS[12] then
  redis.call('HSET', KEYS[12], 'accepted', '1')
  redis.call('RPUSH', KEYS[13], 300 .. ' ' .. ARGV[10] .. ' ' .. KEYS[12])
  redis.call('INCRBY', KEYS[13] .. ':bytes', 300)
  for _, key in ipairs({KEYS[12], KEYS[13], KEYS[13] .. ':bytes'}) do redis.call('PEXPIRE', key, ARGV[12]) end
end
if delay == 0 and redis.call('SET', KEYS[6], '1', 'NX', 'PX', 1000) then
  redis.call('XADD', KEYS[5], '*', 'ref', ARGV[1], 'why', 'waiting')
end
return {'ok', entry}
