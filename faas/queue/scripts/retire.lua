-- Forget a revision that serves no longer, unless something of it waits, runs, is due again or is on its way to a destination,
-- or a node has a slot for it.
-- KEYS  1 sync queue  2 async queue  3 retrying of the revision  4, 5 its outboxes  6 its counts  7 refs
--       8 counts of all revisions of the function that were forgotten  9 and on: slots of each node
-- ARGV  1 ref  2 the ref under which it is counted on, '' when its function has ended
-- Returns 1 when nothing is left of it
for place = 1, 5 do
  local length = place == 3 and redis.call('HLEN', KEYS[3]) or redis.call('XLEN', KEYS[place])
  if length > 0 then return 0 end
end
for place = 9, #KEYS do
  if tonumber(redis.call('HGET', KEYS[place], ARGV[1]) or 0) > 0 then return 0 end
end
local counts = redis.call('HMGET', KEYS[6], 'accepted', 'done', 'dead')
local accepted, done, dead = tonumber(counts[1] or 0), tonumber(counts[2] or 0), tonumber(counts[3] or 0)
if accepted ~= done + dead then return 0 end
if ARGV[2] ~= '' and accepted > 0 then
  redis.call('SADD', KEYS[7], ARGV[2])
  redis.call('HINCRBY', KEYS[8], 'accepted', accepted)
  redis.call('HINCRBY', KEYS[8], 'done', done)
  redis.call('HINCRBY', KEYS[8], 'dead', dead)
end
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6])
redis.call('SREM', KEYS[7], ARGV[1])
redis.call('SREM', KEYS[7] .. ':active', ARGV[1])
return 1
