-- Accept an invocation that shall not run and settle it in the same step, at most once for what its guard names.
-- KEYS  1 queue stream  2 the revision's other queue stream  3 refs  4 counts  5 records  6 guard hash  7 held
--       8 outbox and 9 outboxes (of one that has a destination)
-- ARGV  1 ref  2 record (msgpack)  3 'done' or 'dead'  4 guard field ('' for none)  5 guard value  6 invocation (msgpack)
--       of one that has a destination: 7 settled (msgpack)  8 outbox: ref and way  9 function
-- Returns 1, or 0 when it was done before
if ARGV[4] ~= '' and redis.call('HGET', KEYS[6], ARGV[4]) == ARGV[5] then return 0 end
if redis.call('SADD', KEYS[3], ARGV[1]) == 1 then
  redis.pcall('XGROUP', 'CREATE', KEYS[1], 'runners', '0', 'MKSTREAM')
  redis.pcall('XGROUP', 'CREATE', KEYS[2], 'runners', '0', 'MKSTREAM')
end
redis.call('HINCRBY', KEYS[4], 'accepted', 1)
redis.call('HINCRBY', KEYS[4], ARGV[3], 1)
redis.call('XADD', KEYS[5], '*', 'r', ARGV[2], 'i', ARGV[6])
unrecorded(KEYS[7], string.match(ARGV[1], '^(.*)@'), #ARGV[2] + #ARGV[6])
if ARGV[4] ~= '' then redis.call('HSET', KEYS[6], ARGV[4], ARGV[5]) end
if KEYS[8] then
  if redis.call('SADD', KEYS[9], ARGV[8]) == 1 then
    redis.pcall('XGROUP', 'CREATE', KEYS[8], 'destinations', '0', 'MKSTREAM')
  end
  redis.call('XADD', KEYS[8], '*', 's', ARGV[7], 'i', ARGV[6])
  hold(KEYS[7], ARGV[9], '', 1, #ARGV[7] + #ARGV[6])
end
return 1
