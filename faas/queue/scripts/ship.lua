-- Take what a node's journal holds up to a place: records, and what has ended in which revisions. What was taken before is
-- not taken again: nothing happens when the journal is known up to there, or further than where the batch begins.
-- A full Redis refuses a script whose first write takes memory; this one has to pass: what it brings has run.
-- KEYS  1 journals  2 records  3 held  4 refs
--       5 and on, three for each revision: counts, sync stream, async stream
-- ARGV  1 journal  2 position before the batch  3 position behind it  4 records (msgpack array; '' for none)
--       5 and on, three for each revision: ref, how many of its invocations have ended, bytes of their records
-- Returns {position up to which the journal is taken now, bytes of records that are not in the ledger yet,
--          and, when it was taken now, those of the function of each revision}
local mark = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or 0)
if mark >= tonumber(ARGV[3]) or mark > tonumber(ARGV[2]) then
  return {mark, tonumber(redis.call('HGET', KEYS[3], 'unrecorded') or 0)}
end
redis.call('PERSIST', KEYS[1])
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
local answer = {tonumber(ARGV[3]), redis.call('HINCRBY', KEYS[3], 'unrecorded', #ARGV[4])}
for at = 5, #ARGV, 3 do
  local key = at
  if redis.call('SADD', KEYS[4], ARGV[at]) == 1 then
    redis.pcall('XGROUP', 'CREATE', KEYS[key + 1], 'runners', '0', 'MKSTREAM')
    redis.pcall('XGROUP', 'CREATE', KEYS[key + 2], 'runners', '0', 'MKSTREAM')
  end
  redis.call('HINCRBY', KEYS[key], 'accepted', ARGV[at + 1])
  redis.call('HINCRBY', KEYS[key], 'done', ARGV[at + 1])
  answer[#answer + 1] = redis.call('HINCRBY', KEYS[3] .. ':unrecorded', string.match(ARGV[at], '^(.*)@'), ARGV[at + 2])
end
if ARGV[4] ~= '' then redis.call('XADD', KEYS[2], '*', 'b', ARGV[4]) end
return answer
