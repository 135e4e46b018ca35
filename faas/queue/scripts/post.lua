-- Put a message into the outbox of its destination, at most once however often it is asked.
-- KEYS  1 outbox  2 outboxes  3 held  4 mark that this was done
-- ARGV  1 message (msgpack)  2 destination (msgpack)  3 outbox: destination and way  4 most that may wait there
-- Returns ok, before (it was done), or full
if redis.call('EXISTS', KEYS[4]) == 1 then return 'before' end
if redis.call('XLEN', KEYS[1]) >= tonumber(ARGV[4]) then return 'full' end
redis.call('SET', KEYS[4], '1', 'PX', 86400000)
if redis.call('SADD', KEYS[2], ARGV[3]) == 1 then
  redis.pcall('XGROUP', 'CREATE', KEYS[1], 'destinations', '0', 'MKSTREAM')
end
redis.call('XADD', KEYS[1], '*', 'm', ARGV[1], 'to', ARGV[2])
redis.call('HINCRBY', KEYS[3], 'entries', 1)
redis.call('HINCRBY', KEYS[3], 'bytes', #ARGV[1] + #ARGV[2])
return 'ok'
