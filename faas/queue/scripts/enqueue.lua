-- Accept an invocation into its revision's queue, at most once for what its guard names.
-- KEYS  1 queue stream  2 the revision's other queue stream  3 refs  4 counts  5 demand  6 demanded mark  7 guard hash
--       8 held
-- ARGV  1 ref  2 invocation (msgpack)  3 most that may wait  4 guard field ('' for none)  5 guard value
--       6 '1' when the guard's values are integers that only grow  7 most entries and 8 most bytes in all queues
-- Returns {'ok', entry id} | {'full', waiting} | {'entries' or 'bytes', held in all queues} | {'known'}
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
local held = redis.call('HMGET', KEYS[8], 'entries', 'bytes')
if tonumber(held[1] or 0) >= tonumber(ARGV[7]) then return {'entries', tonumber(held[1])} end
if tonumber(held[2] or 0) + #ARGV[2] > tonumber(ARGV[8]) then return {'bytes', tonumber(held[2] or 0)} end
redis.call('HINCRBY', KEYS[8], 'entries', 1)
redis.call('HINCRBY', KEYS[8], 'bytes', #ARGV[2])
local entry = redis.call('XADD', KEYS[1], '*', 'i', ARGV[2])
redis.call('HINCRBY', KEYS[4], 'accepted', 1)
if field ~= '' then redis.call('HSET', KEYS[7], field, value) end
if redis.call('SET', KEYS[6], '1', 'NX', 'PX', 1000) then
  redis.call('XADD', KEYS[5], '*', 'ref', ARGV[1], 'why', 'waiting')
end
return {'ok', entry}
