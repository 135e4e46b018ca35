-- Remove entries that no sink has yet to commit: those that were kept for one that is no more, or that may miss some.
-- KEYS  1 records  2 held  3 sinks
-- ARGV  1 see yet_to_commit.lua  2 entry to begin with, or -  3 how many to look at
-- Returns {how many were removed, where to go on or ''}
local sinks = others('')
local ledger, removed, bytes, go_on = sinks[1], 0, 0, ''
-- Nobody has committed what the ledger has not read.
local read = string.format('%.0f-%.0f', ledger.ms, ledger.seq)
local found = redis.call('XRANGE', KEYS[1], ARGV[2], read, 'COUNT', tonumber(ARGV[3]) + 1)
if #found > tonumber(ARGV[3]) then go_on = table.remove(found)[1] end
for _, entry in ipairs(found) do
  if not is_awaited(entry[1], sinks) then
    redis.call('XDEL', KEYS[1], entry[1])
    removed = removed + 1
    for place = 2, #entry[2], 2 do bytes = bytes + #entry[2][place] end
  end
end
if removed > 0 then subtract(bytes) end
return {removed, go_on}
