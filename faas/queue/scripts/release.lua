-- Give a claimed invocation back to its queue (at its end), with a record of the attempt when there was one.
-- KEYS  1 queue stream  2 records  3 demand  4 demanded mark  5 held  6 refs  7 call (of async ones only)
-- ARGV  1 entry id  2 invocation (msgpack), as it shall wait  3 record of the attempt (msgpack; '' for none)  4 ref
--       5 function  6 caller ('' for none)
-- Returns 1, or 0 when the entry was not claimed any more
if redis.call('XACK', KEYS[1], 'runners', ARGV[1]) == 0 then return 0 end
local entry = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])[1]
redis.call('XDEL', KEYS[1], ARGV[1])
hold(KEYS[5], ARGV[5], ARGV[6], entry and 0 or 1, #ARGV[2] - (entry and #entry[2][2] or 0))
local again = redis.call('XADD', KEYS[1], '*', 'i', ARGV[2])
redis.call('SADD', KEYS[6] .. ':active', ARGV[4])
if KEYS[7] then redis.call('HSET', KEYS[7], 'entry', again) end
if ARGV[3] ~= '' then
  redis.call('XADD', KEYS[2], '*', 'r', ARGV[3])
  unrecorded(KEYS[5], ARGV[5], #ARGV[3])
end
if redis.call('SET', KEYS[4], '1', 'NX', 'PX', 1000) then
  redis.call('XADD', KEYS[3], '*', 'ref', ARGV[4], 'why', 'waiting')
end
return 1
