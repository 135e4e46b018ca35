-- A sink has committed records: the entries that brought them leave the stream, but for those that others wait for.
-- KEYS  1 records  2 held  3 sinks
-- ARGV  1 see yet_to_commit.lua  2 entry ids  3 the bytes of each (msgpack arrays)  4 group of the sink
-- Returns how many of them a sink that may miss some has missed
local ids, sizes, bytes, missed = cmsgpack.unpack(ARGV[2]), cmsgpack.unpack(ARGV[3]), 0, 0
local sinks, passed = others(ARGV[4])
for first = 1, #ids, 1000 do
  local last = math.min(first + 999, #ids)
  local are_ours = redis.call('XACK', KEYS[1], ARGV[4], unpack(ids, first, last)) == last - first + 1
  are_ours = are_ours and #sinks + #passed == 0
  if are_ours then redis.call('XDEL', KEYS[1], unpack(ids, first, last)) end
  for place = first, last do
    -- Some were another recorder's by now, and what has left was subtracted when it left.
    if are_ours then
      bytes = bytes + sizes[place]
    elseif not is_awaited(ids[place], sinks) and redis.call('XDEL', KEYS[1], ids[place]) == 1 then
      bytes = bytes + sizes[place]
      if is_awaited(ids[place], passed) then missed = missed + 1 end
    end
  end
end
subtract(bytes)
return missed
