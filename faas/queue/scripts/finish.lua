-- Finish attempts of one revision, from the queue, that settle their invocations: each leaves its queue, its record goes
-- on to the ledger, its outcome to its caller or to whoever asks. One whose entry is claimed no more (the lease had lapsed
-- and it was taken over) does nothing. The next invocations are claimed in the same step.
-- KEYS  1 sync stream  2 async stream  3 counts  4 records  5 held  6 kept calls  7 outboxes  8 outbox of successes
--       9 outbox of failures
--       10 and on, one for each finish: the reply stream of its caller (sync; any name, when there is none), or its call
-- ARGV  1 ref  2 node  3 how many to claim next  4 for how many ms outcomes are kept  5 how many are kept at most, and
--       6 how many bytes of them
--       7 and on, ten for each finish: mode; entry id; bytes of its invocation as it waited (0: unknown); invocation id;
--       record (msgpack); 'done' or 'dead'; outcome (msgpack; '' for none); 'success' or 'failure' when it has such a
--       destination, else ''; settled (msgpack) for that destination; who called it ('' for none)
-- Returns {places of those that did nothing (1, ...), what waits still for the revision,
--          bytes of records that are not in the ledger yet, claimed entries, the function's bytes of such records}
local queues, outboxes = {sync = KEYS[1], async = KEYS[2]}, {success = KEYS[8], failure = KEYS[9]}
local entries, starts, sizes, letters = {sync = {}, async = {}}, {}, {}, {}
for at = 7, #ARGV, 10 do
  local mode, entry, place = ARGV[at], ARGV[at + 1], #starts + 1
  local of_mode = entries[mode]
  of_mode[#of_mode + 1] = entry
  starts[place], sizes[place] = at, tonumber(ARGV[at + 2])
  -- The invocation itself is needed for a dead letter and for a destination only.
  if sizes[place] == 0 or ARGV[at + 7] ~= '' or (mode == 'async' and ARGV[at + 5] == 'dead') then
    local found = redis.call('XRANGE', queues[mode], entry, entry)[1]
    letters[place] = found and found[2][2]
    sizes[place] = found and #found[2][2] or 0
  end
end

-- A full Redis refuses a script whose first write takes memory, and this one gives some back.
local lapsed, left_queue = {}, 0
for mode, of_mode in pairs(entries) do
  if #of_mode > 0 then
    if redis.call('XACK', queues[mode], 'runners', unpack(of_mode)) == #of_mode then
      left_queue = left_queue + redis.call('XDEL', queues[mode], unpack(of_mode))
    else
      -- An entry whose lease has lapsed is not in the stream either: what is given back waits as another one.
      for place, at in ipairs(starts) do
        if ARGV[at] == mode then
          local deleted = redis.call('XDEL', queues[mode], ARGV[at + 1])
          left_queue = left_queue + deleted
          lapsed[place] = deleted == 0
        end
      end
    end
  end
end

local nothing, bytes, settled, recorded, into_outboxes = {}, 0, {done = 0, dead = 0}, 0, 0
local records, replies, kept, kept_bytes, callers = {}, {}, {}, 0, {}
for place, at in ipairs(starts) do
  local mode, record, how, outcome, way, key = ARGV[at], ARGV[at + 4], ARGV[at + 5], ARGV[at + 6], ARGV[at + 7], KEYS[9 + place]
  local letter = letters[place]
  if lapsed[place] then
    nothing[#nothing + 1] = place
  else
    bytes = bytes - sizes[place]
    if ARGV[at + 9] ~= '' then
      local caller = '@' .. ARGV[at + 9]
      local share = callers[caller] or {0, 0}
      callers[caller] = {share[1] - 1, share[2] - sizes[place]}
    end
    settled[how] = settled[how] + 1
    recorded = recorded + #record
    if letter and mode == 'async' and how == 'dead' then
      recorded = recorded + #letter
      redis.call('XADD', KEYS[4], '*', 'r', record, 'i', letter)
    else
      records[#records + 1] = record
    end
    if mode == 'async' then
      redis.call('HSET', key, 'settled', how, 'outcome', outcome)
      redis.call('PEXPIRE', key, ARGV[4])
      kept[#kept + 1] = #outcome .. ' ' .. key
      kept_bytes = kept_bytes + #outcome
    elseif outcome ~= '' then
      local reply = replies[key] or {'XADD', key, '*'}
      replies[key] = reply
      local last = #reply
      reply[last + 1], reply[last + 2], reply[last + 3], reply[last + 4] = 'i', ARGV[at + 3], 'o', outcome
    end
    if letter and way ~= '' then
      if redis.call('SADD', KEYS[7], ARGV[1] .. ' ' .. way) == 1 then
        redis.pcall('XGROUP', 'CREATE', outboxes[way], 'destinations', '0', 'MKSTREAM')
      end
      redis.call('XADD', outboxes[way], '*', 's', ARGV[at + 8], 'i', letter)
      into_outboxes = into_outboxes + 1
      bytes = bytes + #ARGV[at + 8] + #letter
    end
  end
end

for key, reply in pairs(replies) do
  redis.call(unpack(reply))
  redis.call('PEXPIRE', key, 60000)
end
for how, count in pairs(settled) do
  if count > 0 then redis.call('HINCRBY', KEYS[3], how, count) end
end
if #records == 1 then
  redis.call('XADD', KEYS[4], '*', 'r', records[1])
elseif #records > 1 then
  -- The head of a msgpack array: of up to 15 in one byte, of more in three.
  local many = #records
  local head = many < 16 and string.char(144 + many) or string.char(220, math.floor(many / 256), many % 256)
  redis.call('XADD', KEYS[4], '*', 'b', head .. table.concat(records))
  recorded = recorded + #head
end
local all, own
local of = string.match(ARGV[1], '^(.*)@')
if #nothing < #starts then
  redis.call('HINCRBY', KEYS[5], 'entries', into_outboxes - left_queue)
  redis.call('HINCRBY', KEYS[5], 'bytes', bytes)
  local shares = KEYS[5] .. ':shares'
  callers[of] = {into_outboxes - left_queue, bytes}
  local names, fields, set, gone = {}, {}, {}, {}
  for name in pairs(callers) do
    names[#names + 1] = name
    fields[#fields + 1], fields[#fields + 2] = name .. ' n', name
  end
  local found = redis.call('HMGET', shares, unpack(fields))
  for place, name in ipairs(names) do
    local share, field = callers[name], name .. ' n'
    local left = tonumber(found[2 * place - 1] or 0) + share[1]
    if left > 0 then
      local last = #set
      set[last + 1], set[last + 2] = field, left
      set[last + 3], set[last + 4] = name, tonumber(found[2 * place] or 0) + share[2]
    else
      gone[#gone + 1], gone[#gone + 2] = field, name
    end
  end
  if #set > 0 then redis.call('HSET', shares, unpack(set)) end
  if #gone > 0 then redis.call('HDEL', shares, unpack(gone)) end
  all, own = unrecorded(KEYS[5], of, recorded)
else
  all = tonumber(redis.call('HGET', KEYS[5], 'unrecorded') or 0)
  own = tonumber(redis.call('HGET', KEYS[5] .. ':unrecorded', of) or 0)
end

-- Outcomes are kept in a list, oldest first; some of those go whose time is over, or that are too many.
if #kept > 0 then
  local sums = KEYS[6] .. ':bytes'
  local count, sum = redis.call('RPUSH', KEYS[6], unpack(kept)), redis.call('INCRBY', sums, kept_bytes)
  redis.call('PEXPIRE', KEYS[6], ARGV[4])
  redis.call('PEXPIRE', sums, ARGV[4])
  for _ = 1, math.min(count, #kept + 100) do
    local first = redis.call('LINDEX', KEYS[6], 0)
    local size, key = string.match(first, '^(%d+) (.+)$')
    local fits = count <= tonumber(ARGV[5]) and sum <= tonumber(ARGV[6])
    if fits and redis.call('EXISTS', key or first) == 1 then break end
    redis.call('LPOP', KEYS[6])
    redis.call('DEL', key or first)
    count, sum = count - 1, redis.call('DECRBY', sums, size or 0)
  end
end

-- What waits is what was not claimed yet; when less is claimed than was asked for, nothing is left.
local claimed, left = {}, 0
for place = 1, 2 do
  local length = redis.call('XLEN', KEYS[place])
  if length > 0 then
    local asked, taken = tonumber(ARGV[3]) - #claimed, 0
    if asked > 0 then
      local got = redis.call('XREADGROUP', 'GROUP', 'runners', ARGV[2], 'COUNT', asked, 'STREAMS', KEYS[place], '>')
      for _, entry in ipairs(got and got[1][2] or {}) do
        claimed[#claimed + 1] = entry
        taken = taken + 1
      end
    end
    if taken == asked then left = left + length - redis.call('XPENDING', KEYS[place], 'runners')[1] end
  end
end
return {nothing, left, all, claimed, own}
