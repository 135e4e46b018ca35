-- Count one by one what streams hold, each from where the last look at it ended, and no further than a step may take. To sum
-- up, do so for every stream that holds work or records, and say what the counter has and how many there are at that instant.
-- KEYS  1 refs  2 held  3 records
-- ARGV  1 prefix of the platform's keys  2 most entries and 3 most bytes of a step  4 '1' to sum up
--       5 most seconds of a step that does not sum up
--       6 and on, two for each stream: its name; the id of the last entry that was counted ('-' for none)
-- Returns {1 when nothing is left to count, else 0; for each stream: name, entries, bytes, bytes of the largest, last id, ...;
--          when summed up: entries of the queues and outboxes, of the records, due later, and its bytes (-1: too many for one
--          step), first of these, last of these, the three as counted}
local prefix, entries_left, bytes_left = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local complete, found, known = 1, {}, {}
-- The clock of the processor, where scripts have one: there that of `TIME` stands still during a script. Of others it goes on
-- (Redis 6.2, 7.0), or the bounds of entries and bytes have to do (7.2). It is asked for every ten entries.
local has_clock, clock = pcall(function() return os.clock end)
if not has_clock then
  clock = function()
    local time = redis.call('TIME')
    return tonumber(time[1]) + tonumber(time[2]) / 1000000
  end
end
local until_s, is_late, looked_at = clock() + tonumber(ARGV[5]), false, 0
local function walk(stream, last)
  known[stream] = true
  local entries, bytes, largest = 0, 0, 0
  while true do
    if entries_left <= 0 or bytes_left <= 0 or is_late then
      complete = 0
      break
    end
    -- One at a time: each may have megabytes, which Redis copies to show them.
    local entry = redis.call('XRANGE', stream, last == '-' and '-' or '(' .. last, '+', 'COUNT', 1)[1]
    if not entry then break end
    local size = 0
    for place = 2, #entry[2], 2 do size = size + #entry[2][place] end
    entries, bytes, largest, last = entries + 1, bytes + size, math.max(largest, size), entry[1]
    entries_left, bytes_left, looked_at = entries_left - 1, bytes_left - size, looked_at + 1
    if ARGV[4] ~= '1' and looked_at % 10 == 0 then is_late = clock() > until_s end
  end
  for _, part in ipairs({stream, entries, bytes, largest, last}) do found[#found + 1] = part end
end
for at = 6, #ARGV, 2 do walk(ARGV[at], ARGV[at + 1]) end
if ARGV[4] ~= '1' then return {complete, found} end

local length = 0
local function add(stream)
  local holds = redis.call('XLEN', stream)
  length = length + holds
  if holds > 0 and not known[stream] then walk(stream, '-') end
end
for _, ref in ipairs(redis.call('SMEMBERS', KEYS[1] .. ':active')) do
  for _, mode in ipairs({'sync', 'async'}) do add(prefix .. ':q:' .. ref .. ':' .. mode) end
end
for _, outbox in ipairs(redis.call('SMEMBERS', prefix .. ':outboxes')) do
  local ref, way = string.match(outbox, '^(%S+) (%S+)$')
  add(prefix .. ':outbox:' .. ref .. ':' .. way)
end
if not known[KEYS[3]] then walk(KEYS[3], '-') end

local retrying = prefix .. ':retrying'
local later, later_bytes = redis.call('ZCARD', retrying), -1
if later <= tonumber(ARGV[2]) then
  later_bytes = 0
  for _, member in ipairs(redis.call('ZRANGE', retrying, 0, -1)) do
    local ref, id = string.match(member, '^%S+ (%S+) (%S+)$')
    later_bytes = later_bytes + redis.call('HSTRLEN', retrying .. ':' .. ref, id)
  end
end
local counted = redis.call('HMGET', KEYS[2], 'entries', 'bytes', 'unrecorded')
return {
  complete, found, length, redis.call('XLEN', KEYS[3]), later, later_bytes,
  redis.call('ZRANGE', retrying, 0, 0)[1] or '', redis.call('ZRANGE', retrying, -1, -1)[1] or '',
  tonumber(counted[1] or 0), tonumber(counted[2] or 0), tonumber(counted[3] or 0),
}
