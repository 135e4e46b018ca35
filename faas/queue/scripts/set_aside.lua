-- Move what nobody can read of an entry out of the way of what can be read, and keep it.
-- KEYS  1 records  2 held  3 unreadable
-- ARGV  1 group of the sink that read it  2 entry id  3 reason
--       of an entry of which a part can be read: 4 that part, which becomes an entry of its own  5 the rest (msgpack arrays)
local entry = redis.call('XRANGE', KEYS[1], ARGV[2], ARGV[2])[1]
redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
if not entry then return 0 end
redis.call('XDEL', KEYS[1], ARGV[2])
local bytes, fields = 0, entry[2]
for place = 2, #fields, 2 do bytes = bytes + #fields[place] end
if ARGV[4] then
  redis.call('XADD', KEYS[1], '*', 'b', ARGV[4])
  bytes, fields = bytes - #ARGV[4], {'b', ARGV[5]}
end
redis.call('HINCRBY', KEYS[2], 'unrecorded', 0 - bytes)
fields[#fields + 1] = 'reason'
fields[#fields + 1] = ARGV[3]
redis.call('XADD', KEYS[3], '*', unpack(fields))
return 1
