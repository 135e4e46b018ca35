-- Records are in the ledger: the entries that brought them leave the stream.
-- KEYS  1 records  2 held
-- ARGV  1 entry ids  2 the bytes of each (msgpack arrays)
local ids, sizes, bytes = cmsgpack.unpack(ARGV[1]), cmsgpack.unpack(ARGV[2]), 0
for first = 1, #ids, 1000 do
  local last = math.min(first + 999, #ids)
  local are_ours = redis.call('XACK', KEYS[1], 'recorders', unpack(ids, first, last)) == last - first + 1
  if are_ours then redis.call('XDEL', KEYS[1], unpack(ids, first, last)) end
  for place = first, last do
    -- Some were another recorder's by now, and what has left was subtracted when it left.
    if are_ours or redis.call('XDEL', KEYS[1], ids[place]) == 1 then bytes = bytes + sizes[place] end
  end
end
if redis.call('XLEN', KEYS[1]) == 0 then
  redis.call('HSET', KEYS[2], 'unrecorded', 0)
else
  redis.call('HINCRBY', KEYS[2], 'unrecorded', -bytes)
end
return bytes
