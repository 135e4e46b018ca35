-- Take a record again that could not be delivered before, if it is still this scheduler's.
-- KEYS  1 outbox
-- ARGV  1 scheduler  2 entry id
-- Returns {entry id, settled (msgpack), invocation (msgpack), how often it was taken}, or {} when it is not
if redis.call('EXISTS', KEYS[1]) == 0 then return {} end
redis.pcall('XGROUP', 'CREATE', KEYS[1], 'destinations', '0')
local held = redis.call('XPENDING', KEYS[1], 'destinations', ARGV[2], ARGV[2], 1, ARGV[1])[1]
if not held then return {} end
local entry = redis.call('XCLAIM', KEYS[1], 'destinations', ARGV[1], 0, ARGV[2])[1]
if not entry then return {} end
return {entry[1], entry[2][2], entry[2][4], held[4] + 1}
