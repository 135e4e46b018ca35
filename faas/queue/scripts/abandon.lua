-- Take a waiting invocation out of its queue because its caller has gone. A claimed one is left to run.
-- KEYS  1 queue stream  2 counts  3 records  4 held
-- ARGV  1 entry id  2 record (msgpack)  3 function  4 caller ('' for none)
-- Returns 1, or 0 when it was claimed or finished before
if #redis.call('XPENDING', KEYS[1], 'runners', ARGV[1], ARGV[1], 1) > 0 then return 0 end
local entry = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])[1]
if not entry then return 0 end
redis.call('XDEL', KEYS[1], ARGV[1])
hold(KEYS[4], ARGV[3], ARGV[4], -1, -#entry[2][2])
redis.call('HINCRBY', KEYS[2], 'done', 1)
redis.call('XADD', KEYS[3], '*', 'r', ARGV[2])
unrecorded(KEYS[4], ARGV[3], #ARGV[2])
return 1
