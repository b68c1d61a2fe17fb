-- The place of each value in the layouts native, "ecs" and "otel", in this order.
local function text(value)
  if type(value) == "string" and value ~= "" then return value end
end

local function at(value, ...)
  for _, key in ipairs({...}) do
    if type(value) ~= "table" then return nil end
    value = value[key]
  end
  return value
end

local function seconds(year, month, day, hour, minute, second)
  -- days since 1970 in the civil calendar; os.time would use the time zone of this host
  if month <= 2 then year, month = year - 1, month + 12 end
  local days = 365 * year + math.floor(year / 4) - math.floor(year / 100) + math.floor(year / 400)
  days = days + math.floor((153 * (month - 3) + 2) / 5) + day - 1 - 719468
  return ((days * 24 + hour) * 60 + minute) * 60 + second
end

local function time_of(line)
  local when = text(line.timestamp) or text(line["@timestamp"])
  if when then
    local y, mo, d, h, mi, s, micros = when:match("^(%d%d%d%d)-(%d%d)-(%d%d)T(%d%d):(%d%d):(%d%d)%.(%d%d%d%d%d%d)Z")
    if not y then return nil end
    local number = tonumber
    return { sec = seconds(number(y), number(mo), number(d), number(h), number(mi), number(s)), nsec = number(micros) * 1000 }
  end
  local sec, nsec = (text(line.timeUnixNano) or ""):match("^(%d+)(%d%d%d%d%d%d%d%d%d)$")
  return sec and { sec = tonumber(sec), nsec = tonumber(nsec) }
end

local function attributes_of(line)
  local found = {}
  for _, pair in ipairs(type(line.attributes) == "table" and line.attributes or {}) do
    local value = at(pair, "value")
    if type(value) == "table" and text(at(pair, "key")) then
      found[pair.key] = value.stringValue or value.intValue or value.boolValue
    end
  end
  return found
end

local function family_of(line, attributes)
  if line.plain or at(line, "bamboo", "plain") or attributes["bamboo.plain"] then return "plain" end
  local kind = text(line.event) or text(at(line, "event", "action")) or text(line.eventName) or ""
  return (kind:gsub("^bamboo%.", ""):match("^[^.]*"))
end

local function metadata_of(line, attributes)
  local values = {
    event_id = line.event_id or at(line, "event", "id") or attributes["bamboo.event_id"],
    trace_id = line.trace_id or at(line, "trace", "id") or line.traceId or attributes["bamboo.trace_id"],
    session_id = line.session_id or at(line, "gen_ai", "conversation", "id") or attributes["gen_ai.conversation.id"],
    round_id = line.round_id or at(line, "bamboo", "round", "id") or attributes["bamboo.round.id"],
    tool_call_id = line.tool_call_id or at(line, "gen_ai", "tool", "call", "id") or attributes["gen_ai.tool.call.id"],
    request_id = line.request_id or at(line, "http", "request", "id") or attributes["bamboo.request.id"],
    writer = line.writer or at(line, "bamboo", "writer") or attributes["bamboo.writer"],
    seq = line.seq or at(line, "bamboo", "seq") or attributes["bamboo.seq"],
  }
  local found = {} -- Loki accepts only texts
  for name, value in pairs(values) do
    if type(value) == "number" then found[name] = string.format("%.0f", value) end
    if type(value) == "string" then found[name] = value end
  end
  return found
end

function bamboo_entry(tag, timestamp, line)
  local attributes = attributes_of(line)
  local entry = {
    bamboo_line = line.bamboo_line,
    service_name = text(line.service_name) or text(at(line, "service", "name")) or text(attributes["service.name"])
      or <<service>>,
    env = text(line.env) or text(at(line, "service", "environment")) or text(attributes["deployment.environment.name"])
      or text(<<env>>),
    family = family_of(line, attributes),
    level = text(line.level) or text(line["log.level"]) or text(line.severityText),
    metadata = metadata_of(line, attributes),
  }
  return 1, time_of(line) or timestamp, entry
end
