-- Put a record that was given up into its outbox again, at most once however many ask at the same time.
-- KEYS  1 outbox  2 outboxes  3 held  4 mark that this was done
-- ARGV  1 settled (msgpack)  2 invocation (msgpack)  3 outbox: ref and way  4 function
-- Returns 1, or 0 when it was done before
if not redis.call('SET', KEYS[4], '1', 'NX', 'PX', 3600000) then return 0 end
if redis.call('SADD', KEYS[2], ARGV[3]) == 1 then
  redis.pcall('XGROUP', 'CREATE', KEYS[1], 'destinations', '0', 'MKSTREAM')
end
redis.call('XADD', KEYS[1], '*', 's', ARGV[1], 'i', ARGV[2])
hold(KEYS[3], ARGV[4], '', 1, #ARGV[1] + #ARGV[2])
return 1
