-- Make sure of a stream and its consumer group, at 0 so that no entry is before it, also when Redis is full (it refuses
-- a script whose first write takes memory): who reads makes room.
-- KEYS  1 stream
-- ARGV  1 group
if redis.call('EXISTS', KEYS[1]) == 1 then
  for _, about in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
    if about[2] == ARGV[1] then return 0 end
  end
end
redis.call('PERSIST', KEYS[1])
redis.call('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
return 1
