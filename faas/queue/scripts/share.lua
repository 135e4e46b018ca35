-- What `abandon`, `cancel`, `pass_on` and `put_away` begin with: counting what a function, or a caller ('@' before its
-- name), has of all that is held. A share of no entries is removed, so that the hash knows only who has some.
local function share(held, of, entries, bytes)
  local shares = held .. ':shares'
  if redis.call('HINCRBY', shares, of .. ' n', entries) > 0 then
    redis.call('HINCRBY', shares, of, bytes)
  else
    redis.call('HDEL', shares, of, of .. ' n')
  end
end

