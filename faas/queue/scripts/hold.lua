-- Say that a recorder is still at work on entries that it read, so that no other takes them over.
-- KEYS  1 records
-- ARGV  1 group of the sink  2 consumer  3 entry ids (msgpack array, 1,000 at most)
-- Returns how many of them are still its own
local own = {}
for _, id in ipairs(cmsgpack.unpack(ARGV[3])) do
  if redis.call('XPENDING', KEYS[1], ARGV[1], id, id, 1, ARGV[2])[1] then own[#own + 1] = id end
end
local count = #own
own[count + 1] = 'JUSTID'
if count > 0 then redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, unpack(own)) end
return count
