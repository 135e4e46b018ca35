-- A sink has committed records: the entries that brought them leave the stream, but for those that others wait for.
-- KEYS  1 records  2 held  3 sinks
-- ARGV  1 see yet_to_commit.lua  2 entry ids  3 the bytes of each (msgpack arrays)  4 group of the sink
--       of the ledger: 5 whose the records of each are, each function with its bytes in turn (msgpack array of arrays)
-- Returns how many of them a sink that may miss some has missed
local ids, sizes, bytes, missed = cmsgpack.unpack(ARGV[2]), cmsgpack.unpack(ARGV[3]), 0, 0
local sinks, passed = others(ARGV[4])
local owners, shares = ARGV[5] and cmsgpack.unpack(ARGV[5]) or {}, {}
local function in_ledger(place)
  local of = owners[place] or {}
  for at = 1, #of, 2 do shares[of[at]] = (shares[of[at]] or 0) + of[at + 1] end
end
for first = 1, #ids, 1000 do
  local last = math.min(first + 999, #ids)
  local were_ours = redis.call('XACK', KEYS[1], ARGV[4], unpack(ids, first, last)) == last - first + 1
  local are_ours = were_ours and #sinks + #passed == 0
  if are_ours then redis.call('XDEL', KEYS[1], unpack(ids, first, last)) end
  for place = first, last do
    -- Some were another recorder's by now, and what has left was subtracted when it left.
    if were_ours then in_ledger(place) end
    if are_ours then
      bytes = bytes + sizes[place]
    elseif not is_awaited(ids[place], sinks) and redis.call('XDEL', KEYS[1], ids[place]) == 1 then
      bytes = bytes + sizes[place]
      if not were_ours then in_ledger(place) end
      if is_awaited(ids[place], passed) then missed = missed + 1 end
    end
  end
end
subtract(bytes)
for of, less in pairs(shares) do
  if redis.call('HINCRBY', KEYS[2] .. ':unrecorded', of, 0 - less) <= 0 then
    redis.call('HDEL', KEYS[2] .. ':unrecorded', of)
  end
end
return missed
