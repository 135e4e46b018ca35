-- What scripts begin with that move what is held. A share counts what a function, or a caller ('@' before its name), has of
-- all; one of no entries is removed, so that the hash knows only who has some.
local function share(held, of, entries, bytes)
  local shares = held .. ':shares'
  if redis.call('HINCRBY', shares, of .. ' n', entries) > 0 then
    redis.call('HINCRBY', shares, of, bytes)
  else
    redis.call('HDEL', shares, of, of .. ' n')
  end
end

-- Count entries and bytes that came to what is held, or left it (below 0), in all and for whose they are ('' for nobody).
local function hold(held, of, caller, entries, bytes)
  redis.call('HINCRBY', held, 'entries', entries)
  redis.call('HINCRBY', held, 'bytes', bytes)
  if of ~= '' then share(held, of, entries, bytes) end
  if caller ~= '' then share(held, '@' .. caller, entries, bytes) end
end

