-- Move a record that nobody can read out of the way of what can be read, and keep it.
-- KEYS  1 records  2 held  3 unreadable
-- ARGV  1 entry id  2 reason
local entry = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])[1]
redis.call('XACK', KEYS[1], 'recorders', ARGV[1])
if not entry then return 0 end
redis.call('XDEL', KEYS[1], ARGV[1])
local bytes, fields = 0, entry[2]
for place = 2, #fields, 2 do bytes = bytes + #fields[place] end
redis.call('HINCRBY', KEYS[2], 'unrecorded', -bytes)
fields[#fields + 1] = 'reason'
fields[#fields + 1] = ARGV[2]
redis.call('XADD', KEYS[3], '*', unpack(fields))
return 1
