-- Move a record from its outbox into the queue of the function that it is for, in one step: nothing is lost or doubled,
-- however many schedulers try. One that is a link too many of its chain is accepted and settled as dead instead.
-- KEYS  1 outbox  2 held  3 async stream  4 sync stream  5 refs  6 counts  7 demand  8 demanded mark  9 call  10 records
--       11 outbox of what is refused and 12 outboxes, when that has a destination
-- ARGV  1 entry id  2 ref  3 invocation (msgpack)  4 invocation id  5 most that may wait
--       6 record (msgpack; '' when it shall run)  7 function that it comes from  8 function that it is for
--       9 settled (msgpack)  10 outbox of what is refused: ref and way
-- Returns {'ok'} | {'full', waiting} | {'gone'} when another scheduler has moved it
local entry = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])[1]
if not entry then return {'gone'} end
if ARGV[6] == '' and redis.call('SISMEMBER', KEYS[5], ARGV[2]) == 1 then
  local waiting = redis.call('XLEN', KEYS[3]) - redis.call('XPENDING', KEYS[3], 'runners')[1]
  if waiting >= tonumber(ARGV[5]) then return {'full', waiting} end
end
-- A Redis whose memory is full lets a script go on whose first write takes no memory, and this one gives some back.
redis.call('XACK', KEYS[1], 'destinations', ARGV[1])
redis.call('XDEL', KEYS[1], ARGV[1])
if redis.call('SADD', KEYS[5], ARGV[2]) == 1 then
  redis.pcall('XGROUP', 'CREATE', KEYS[3], 'runners', '0', 'MKSTREAM')
  redis.pcall('XGROUP', 'CREATE', KEYS[4], 'runners', '0', 'MKSTREAM')
end
hold(KEYS[2], ARGV[7], '', -1, -#entry[2][2] - #entry[2][4])
redis.call('HINCRBY', KEYS[6], 'accepted', 1)
if ARGV[6] == '' then
  local queued = redis.call('XADD', KEYS[3], '*', 'i', ARGV[3])
  redis.call('SADD', KEYS[5] .. ':active', ARGV[2])
  hold(KEYS[2], ARGV[8], '', 1, #ARGV[3])
  redis.call('HSET', KEYS[9], 'ref', ARGV[2], 'entry', queued)
  if redis.call('SET', KEYS[8], '1', 'NX', 'PX', 1000) then
    redis.call('XADD', KEYS[7], '*', 'ref', ARGV[2], 'why', 'waiting')
  end
  return {'ok'}
end
redis.call('HINCRBY', KEYS[6], 'dead', 1)
redis.call('XADD', KEYS[10], '*', 'r', ARGV[6], 'i', ARGV[3])
unrecorded(KEYS[2], ARGV[8], #ARGV[6] + #ARGV[3])
if KEYS[11] then
  if redis.call('SADD', KEYS[12], ARGV[10]) == 1 then
    redis.pcall('XGROUP', 'CREATE', KEYS[11], 'destinations', '0', 'MKSTREAM')
  end
  redis.call('XADD', KEYS[11], '*', 's', ARGV[9], 'i', ARGV[3])
  hold(KEYS[2], ARGV[8], '', 1, #ARGV[9] + #ARGV[3])
end
return {'ok'}
