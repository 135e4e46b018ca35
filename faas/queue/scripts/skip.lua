-- Count a due time that was skipped, once however many schedulers skip it.
-- KEYS  1 skipped
-- ARGV  1 function  2 timer (has a '/', as no function does)  3 due time, ms
-- Returns 1, or 0 when it was counted before
if tonumber(redis.call('HGET', KEYS[1], ARGV[2]) or '-1') >= tonumber(ARGV[3]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
redis.call('HINCRBY', KEYS[1], ARGV[1], 1)
return 1
