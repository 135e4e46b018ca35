-- Finish an attempt: it leaves its place, its record goes on to the ledger, its reply to the caller, all or nothing.
-- When the entry is not in its place any more (the lease had lapsed and it was taken over), nothing happens.
-- KEYS  1 place: queue stream, or running hash  2 counts  3 records  4 reply stream, or call  5 sync stream  6 async stream
--       7 held  8 kept calls (of async ones), or settled of the node (of hand-offs)
--       9 outbox and 10 outboxes (of async ones that have a destination)
-- ARGV  1 'queue', 'handoff', or 'async' (from the queue, and its outcome is kept for whoever asks)
--       2 entry id, or field  3 record (msgpack); that of a dead async one takes its invocation along  4 'done' or 'dead'
--       5 invocation id  6 outcome for the caller (msgpack; '' for no reply)  7 node  8 how many to claim next
--       of async ones only: 9 for how many ms the outcome is kept  10 how many outcomes are kept at most, 11 of how many
--       bytes
--       of hand-offs only: 9 '1' for one that may not have been written down, or was sent before without an answer
--       10.. fields of hand-offs whose end the node has heard of
--       of those with a destination: 12 settled (msgpack)  13 outbox: ref and way
-- Returns {finished (0 or 1), what waits still, bytes of records that are not in the ledger yet,
--          claimed: mode, entry id, invocation, ...}
local finished, letter, entry
-- The outcome is kept among others, oldest first; some of those go whose time is over, or that are too many.
local function keep()
  local sizes = KEYS[8] .. ':bytes'
  local count = redis.call('RPUSH', KEYS[8], #ARGV[6] .. ' ' .. KEYS[4])
  local bytes = redis.call('INCRBY', sizes, #ARGV[6])
  redis.call('PEXPIRE', KEYS[8], ARGV[9])
  redis.call('PEXPIRE', sizes, ARGV[9])
  for _ = 1, math.min(count, 100) do
    local first = redis.call('LINDEX', KEYS[8], 0)
    local size, key = string.match(first, '^(%d+) (.+)$')
    local fits = count <= tonumber(ARGV[10]) and bytes <= tonumber(ARGV[11])
    if fits and redis.call('EXISTS', key or first) == 1 then return end
    redis.call('LPOP', KEYS[8])
    redis.call('DEL', key or first)
    count, bytes = count - 1, redis.call('DECRBY', sizes, size or 0)
  end
end
if ARGV[1] == 'handoff' then
  finished = redis.call('HDEL', KEYS[1], ARGV[2])
  if finished == 0 and ARGV[9] == '1' and redis.call('SISMEMBER', KEYS[8], ARGV[2]) == 0 then finished = 1 end
  if ARGV[10] then redis.call('SREM', KEYS[8], unpack(ARGV, 10)) end
  if finished == 1 then
    redis.call('SADD', KEYS[8], ARGV[2])
    redis.call('HINCRBY', KEYS[2], 'accepted', 1)
  end
else
  finished = redis.call('XACK', KEYS[1], 'runners', ARGV[2])
  entry = redis.call('XRANGE', KEYS[1], ARGV[2], ARGV[2])[1]
  if ARGV[1] == 'async' and ARGV[4] == 'dead' then letter = entry end
  if finished == 1 and entry then
    redis.call('XDEL', KEYS[1], ARGV[2])
    redis.call('HINCRBY', KEYS[7], 'entries', -1)
    redis.call('HINCRBY', KEYS[7], 'bytes', -#entry[2][2])
  end
end
local unrecorded
if finished == 1 then
  redis.call('HINCRBY', KEYS[2], ARGV[4], 1)
  unrecorded = redis.call('HINCRBY', KEYS[7], 'unrecorded', #ARGV[3] + (letter and #letter[2][2] or 0))
  if letter then
    redis.call('XADD', KEYS[3], '*', 'r', ARGV[3], 'i', letter[2][2])
  else
    redis.call('XADD', KEYS[3], '*', 'r', ARGV[3])
  end
  if KEYS[9] and entry then
    if redis.call('SADD', KEYS[10], ARGV[13]) == 1 then
      redis.pcall('XGROUP', 'CREATE', KEYS[9], 'destinations', '0', 'MKSTREAM')
    end
    redis.call('XADD', KEYS[9], '*', 's', ARGV[12], 'i', entry[2][2])
    redis.call('HINCRBY', KEYS[7], 'entries', 1)
    redis.call('HINCRBY', KEYS[7], 'bytes', #ARGV[12] + #entry[2][2])
  end
  if ARGV[1] == 'async' then
    redis.call('HSET', KEYS[4], 'settled', ARGV[4], 'outcome', ARGV[6])
    redis.call('PEXPIRE', KEYS[4], ARGV[9])
    keep()
  elseif ARGV[6] ~= '' then
    redis.call('XADD', KEYS[4], '*', 'i', ARGV[5], 'o', ARGV[6])
    redis.call('PEXPIRE', KEYS[4], 60000)
  end
end
-- What waits is what was not claimed yet; an empty stream is known without asking for its pending entries.
local function waiting(place)
  local length = redis.call('XLEN', KEYS[place])
  return length > 0 and length - redis.call('XPENDING', KEYS[place], 'runners')[1] or 0
end
unrecorded = unrecorded or tonumber(redis.call('HGET', KEYS[7], 'unrecorded') or 0)
local answer, next = {finished, 0, unrecorded}, tonumber(ARGV[8])
for place = 5, 6 do
  local left = waiting(place)
  if left > 0 and next > 0 then
    local got = redis.call('XREADGROUP', 'GROUP', 'runners', ARGV[7], 'COUNT', next, 'STREAMS', KEYS[place], '>')
    if got then
      for _, entry in ipairs(got[1][2]) do
        answer[#answer + 1] = place == 5 and 'sync' or 'async'
        answer[#answer + 1] = entry[1]
        answer[#answer + 1] = entry[2][2]
        next = next - 1
        left = left - 1
      end
    end
  end
  answer[2] = answer[2] + left
end
return answer
