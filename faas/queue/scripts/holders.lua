-- Which nodes may hold claims: those that say so, and every consumer that has entries pending. A
-- paused node that was taken over and forgotten claims again by the read that it left parked.
-- Who has entries pending has them of a queue that holds them, so only active revisions are looked at.
-- KEYS  1 refs  2 nodes
-- ARGV  1 prefix of the platform's keys
-- Returns the names, each once
local names, seen = redis.call('SMEMBERS', KEYS[2]), {}
for _, name in ipairs(names) do seen[name] = true end
for _, ref in ipairs(redis.call('SMEMBERS', KEYS[1] .. ':active')) do
  for _, mode in ipairs({'sync', 'async'}) do
    local stream = ARGV[1] .. ':q:' .. ref .. ':' .. mode
    -- The fourth part of the summary is who holds what, and false when nothing is pending.
    if redis.call('XLEN', stream) > 0 then
      for _, held in ipairs(redis.call('XPENDING', stream, 'runners')[4] or {}) do
        if not seen[held[1]] then
          seen[held[1]] = true
          names[#names + 1] = held[1]
        end
      end
    end
  end
end
return names
