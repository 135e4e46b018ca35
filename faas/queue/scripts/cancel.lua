-- Take an async invocation that waits, for a slot or until it is due, out of its place, with a record that says so.
-- KEYS  1 call  2 retrying  3 counts  4 records  5 queue stream  6 retrying of the revision  7 held
-- ARGV  1 invocation id  2 member of retrying: mode, ref, id  3 record (msgpack)  4 invocation (msgpack), as it waits
--       5 outcome (msgpack)  6 for how many ms the outcome is kept  7 function  8 caller ('' for none)
-- Returns 1, or 0 when it is not there as it was, or is running
local entry = redis.call('HGET', KEYS[1], 'entry')
if not entry or redis.call('HEXISTS', KEYS[1], 'settled') == 1 then return 0 end
if entry == '' then
  if redis.call('HGET', KEYS[6], ARGV[1]) ~= ARGV[4] then return 0 end
  redis.call('HDEL', KEYS[6], ARGV[1])
  redis.call('ZREM', KEYS[2], ARGV[2])
else
  local found = redis.call('XRANGE', KEYS[5], entry, entry)[1]
  if not found or found[2][2] ~= ARGV[4] then return 0 end
  if #redis.call('XPENDING', KEYS[5], 'runners', entry, entry, 1) > 0 then return 0 end
  redis.call('XDEL', KEYS[5], entry)
end
hold(KEYS[7], ARGV[7], ARGV[8], -1, -#ARGV[4])
redis.call('HINCRBY', KEYS[3], 'done', 1)
redis.call('XADD', KEYS[4], '*', 'r', ARGV[3])
unrecorded(KEYS[7], ARGV[7], #ARGV[3])
redis.call('HSET', KEYS[1], 'settled', 'done', 'outcome', ARGV[5])
redis.call('PEXPIRE', KEYS[1], ARGV[6])
return 1
