-- wrk script: sends the body in a file with the client keys in rotation, and prints one line of JSON.
--
-- Arguments: path of the body, path of a file of header lines.

local requests = {}
local turn = 0

function init(arguments)
  local file = assert(io.open(arguments[1], "rb"))
  local body = file:read("*a")
  file:close()
  local headers = { ["content-type"] = "application/json" }
  for line in io.lines(arguments[2]) do
    local name, value = line:match("^([^:]+): (.+)$")
    headers[name] = value
    requests[#requests + 1] = wrk.format("POST", nil, headers, body)
  end
end

function request()
  turn = turn % #requests + 1
  return requests[turn]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "seconds": %.6f, "errors": {"status": %d, "connect": %d, "read": %d, "write": %d, '
      .. '"timeout": %d}, "p50_us": %d, "p99_us": %d}\n',
    summary.requests,
    summary.duration / 1e6,
    errors.status,
    errors.connect,
    errors.read,
    errors.write,
    errors.timeout,
    latency:percentile(50),
    latency:percentile(99)
  ))
end
