-- Move a claimed entry of a queue that nobody can read out of the way of those that can be read, and keep it. No counter of
-- invocations changes, as nobody knows whether it was accepted; what the queues hold is counted anew by `recount`.
-- KEYS  1 queue stream  2 unreadable
-- ARGV  1 entry id
-- Returns 1 when it was moved
local entry = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])[1]
redis.call('XACK', KEYS[1], 'runners', ARGV[1])
if not entry then return 0 end
redis.call('XDEL', KEYS[1], ARGV[1])
local fields = entry[2]
fields[#fields + 1] = 'reason'
fields[#fields + 1] = 'no invocation, in ' .. KEYS[1]
redis.call('XADD', KEYS[2], '*', unpack(fields))
return 1
