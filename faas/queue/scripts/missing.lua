-- Look at some of all revisions, and make those active whose queues hold something and that are not: what an older
-- platform has put there. Whoever calls this again with the cursor that it returned has looked at all of them in the end.
-- KEYS  1 refs
-- ARGV  1 prefix of the platform's keys  2 cursor ('0' to begin)  3 about how many to look at
-- Returns {cursor ('0' after the last ones), a list of refs that were missing}
local page, missing = redis.call('SSCAN', KEYS[1], ARGV[2], 'COUNT', ARGV[3]), {}
for _, ref in ipairs(page[2]) do
  local queue = ARGV[1] .. ':q:' .. ref
  local held = redis.call('XLEN', queue .. ':sync') + redis.call('XLEN', queue .. ':async')
  if held > 0 and redis.call('SISMEMBER', KEYS[1] .. ':active', ref) == 0 then
    -- A full Redis refuses it; then the next round finds it again.
    redis.pcall('SADD', KEYS[1] .. ':active', ref)
    missing[#missing + 1] = ref
  end
end
return {page[1], missing}
