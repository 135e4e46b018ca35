-- POSTs one small JSON, or what is in the file that is named behind the URL, again and again; at the end prints its
-- figures as one line of JSON, times in microseconds.
wrk.method = "POST"
wrk.body = '{"name": "Ada"}'
wrk.headers["Content-Type"] = "application/json"

function init(args)
  if args[1] then
    local file = assert(io.open(args[1], "rb"))
    wrk.body = file:read("*a")
    file:close()
  end
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\n{"answers": %d, "us": %d, "p50_us": %d, "p99_us": %d, "refused": %d, "broken": %d, "timeouts": %d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.status, errors.connect + errors.read + errors.write, errors.timeout))
end
