-- End an attempt that another follows: its entry leaves the queue, its record goes on to the ledger, and the invocation
-- waits until it is due. When the entry is not claimed any more (the lease had lapsed), nothing happens.
-- KEYS  1 queue stream  2 records  3 retrying  4 retrying of the revision  5 sync stream  6 async stream
--       7 held  8 call (of async ones only)
-- ARGV  1 entry id  2 record (msgpack)  3 invocation id  4 invocation (msgpack), as it shall wait  5 due in how many ms
--       6 member of retrying: mode, ref, id  7 why, for whoever asks  8 function  9 caller ('' for none)
-- Returns what a finish returns: {{1} when nothing happened, else {}, what waits still for the revision,
--          bytes of records that are not in the ledger yet, {}, those of the function}
local finished = redis.call('XACK', KEYS[1], 'runners', ARGV[1])
if finished == 1 then
  local entry = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])[1]
  redis.call('XDEL', KEYS[1], ARGV[1])
  hold(KEYS[7], ARGV[8], ARGV[9], entry and 0 or 1, #ARGV[4] - (entry and #entry[2][2] or 0))
  redis.call('XADD', KEYS[2], '*', 'r', ARGV[2])
  unrecorded(KEYS[7], ARGV[8], #ARGV[2])
  local time = redis.call('TIME')
  local behind = tonumber(redis.call('HGET', KEYS[3] .. ':clock', 'behind') or 0)
  local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000) + behind
  redis.call('ZADD', KEYS[3], now + tonumber(ARGV[5]), ARGV[6])
  redis.call('HSET', KEYS[4], ARGV[3], ARGV[4])
  if KEYS[8] then redis.call('HSET', KEYS[8], 'entry', '', 'why', ARGV[7]) end
end
local left = 0
for place = 5, 6 do
  local length = redis.call('XLEN', KEYS[place])
  if length > 0 then left = left + length - redis.call('XPENDING', KEYS[place], 'runners')[1] end
end
local all = tonumber(redis.call('HGET', KEYS[7], 'unrecorded') or 0)
local own = tonumber(redis.call('HGET', KEYS[7] .. ':unrecorded', ARGV[8]) or 0)
return {finished == 0 and {1} or {}, left, all, {}, own}
