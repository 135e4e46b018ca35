-- What scripts begin with that bring records: counting what a function has of all that is not in the ledger yet. Its field
-- goes when the ledger has all of it (`recorded.lua`). Returns the bytes of all records, and those of the function.
local function unrecorded(held, of, bytes)
  local own = redis.call('HINCRBY', held .. ':unrecorded', of, bytes)
  return redis.call('HINCRBY', held, 'unrecorded', bytes), own
end

