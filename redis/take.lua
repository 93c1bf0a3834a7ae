-- Carries out asks: each one's reports are counted, and then all of its items
-- are charged, or none. It says the same as limit.Ask.Carry, in microseconds
-- since 2023-11-14T22:13:20Z, which a double holds to a sixtieth.
--
-- KEYS[i] is the key of item i. ARGV[1] holds 27 bytes an item: what to do (0
-- take, 1 give back), the algorithm (0 GCRA, 1 sliding, 2 fixed), 1 if it is the
-- last of its ask, then cost, report, limit, burst, window. ARGV[2] is the time,
-- for tests, or empty. The answer has 17 bytes an item: allowed, the time until
-- all is forgotten, the counts of the cells.

local items, n = ARGV[1], #KEYS
local unpack, pack, ceil, min, max = struct.unpack, struct.pack, math.ceil, math.min, math.max

local now = tonumber(ARGV[2])
if not now then
  local t = redis.call('TIME')
  now = (t[1] - 1700000000) * 1000000 + t[2]
end

-- A key's state: when all is forgotten, the counts of the present cell and of
-- the one before, whether it changed. What is not ours is as if it were not
-- there; MGET answers nothing for other types.
local values = redis.call('MGET', _G.unpack(KEYS))
local states = {}
for i = 1, n do
  local k = KEYS[i]
  if not states[k] then
    local s, v = {0, 0, 0, false}, values[i]
    if v and #v == 17 then
      local version, til, current, previous = unpack('<BdI4I4', v)
      -- Forty years are more than anything of ours.
      if version == 1 and til > now and til < now + 1.2614e15 then
        s[1], s[2], s[3] = til, current, previous
      end
    end
    states[k] = s
  end
end

local function roll(s, algorithm, window)
  if algorithm == 2 then
    s[1] = min(s[1], now + window)
    if s[1] <= now then s[1], s[2], s[3] = now + window, 0, 0 end
    return
  end
  s[1] = min(s[1], now + 2 * window)
  local left = s[1] - now
  if left <= 0 then
    s[1], s[2], s[3] = now + 2 * window, 0, 0
  elseif left <= window then
    s[1], s[2], s[3] = s[1] + window, 0, s[2]
  end
end

-- heal makes a key full whose time is further ahead than it can be: the clock of a
-- server was set back, or another server's took over that was ahead. Nobody is shut
-- out for as long as that, and nothing is given away.
local function heal(s, algorithm, limit, burst, window)
  if s[1] <= now or limit == 0 or burst == 0 then return end
  if algorithm == 0 then
    local full = window / limit * burst
    if s[1] - now > 2 * full + 1 then s[1], s[4] = now + full, true end
  elseif algorithm == 1 and s[1] - now > 2 * window + 1 then
    s[1], s[4] = now + 2 * window, true
  elseif algorithm == 2 and s[1] - now > window + 1 then
    s[1], s[4] = now + window, true
  end
end

-- add counts without asking, up to twice what there is at once.
local function add(s, algorithm, cost, limit, burst, window)
  if cost == 0 or limit == 0 or burst == 0 then return end
  s[4] = true
  if algorithm == 0 then
    local interval = window / limit
    local level = min(max(s[1] - now, 0), 2 * interval * burst)
    s[1] = now + min(level + interval * cost, 2 * interval * burst)
  else
    roll(s, algorithm, window)
    s[2] = min(s[2] + cost, 2 * limit, 4294967295)
  end
end

local function take(s, algorithm, cost, limit, burst, window)
  if limit == 0 or burst == 0 then return false end
  local ask = max(cost, 1)
  if algorithm == 0 then
    if cost > burst then return false end
    local interval = window / limit
    local level = min(max(s[1] - now, 0), 2 * interval * burst)
    -- A hundredth of a microsecond is for the rounding of what was added up.
    if level + interval * ask > interval * burst + 0.01 then return false end
    if cost > 0 then s[1], s[4] = now + level + interval * cost, true end
    return true
  end
  if cost > limit then return false end
  local was1, was2, was3 = s[1], s[2], s[3]
  roll(s, algorithm, window)
  local used = s[2]
  if algorithm == 1 and s[3] > 0 then
    used = used + ceil(s[3] * (s[1] - window - now) / window)
  end
  if used + ask > limit then
    s[1], s[2], s[3] = was1, was2, was3
    return false
  end
  if cost > 0 then
    s[2], s[4] = s[2] + cost, true
  else
    s[1], s[2], s[3] = was1, was2, was3
  end
  return true
end

-- back takes a charge back, which another node of a cluster denied.
local function back(s, algorithm, cost, limit, window)
  s[4] = true
  if algorithm == 0 then
    s[1] = max(s[1] - cost * window / limit, now)
    return
  end
  roll(s, algorithm, window)
  local current = min(s[2], cost)
  s[2] = s[2] - current
  s[3] = s[3] - min(s[3], cost - current)
end

local answers = {}
local layout, size, i = '<BBBI4I4I4I4d', 27, 1
while i <= n do
  local what, algorithm, last, cost, report, limit, burst, window = unpack(layout, items, (i - 1) * size + 1)
  if last == 1 then -- most asks have one item, and nothing to take back
    local s, verdict = states[KEYS[i]], 1
    if what == 1 then
      back(s, algorithm, cost, limit, window)
    else
      heal(s, algorithm, limit, burst, window)
      add(s, algorithm, report, limit, burst, window)
      if not take(s, algorithm, cost, limit, burst, window) then verdict = 0 end
    end
    answers[i] = pack('<BdI4I4', verdict, max(s[1] - now, 0), s[2], s[3])
  else
    local first, allowed, verdicts = i, true, {}
    local told = {} -- the states after the reports, in case the ask is denied
    repeat
      what, algorithm, last, cost, report, limit, burst, window = unpack(layout, items, (i - 1) * size + 1)
      if what == 0 then
        heal(states[KEYS[i]], algorithm, limit, burst, window)
        add(states[KEYS[i]], algorithm, report, limit, burst, window)
      end
      i = i + 1
    until last == 1
    i = i - 1
    for j = first, i do
      local s = states[KEYS[j]]
      told[j] = {s[1], s[2], s[3]}
    end
    for j = first, i do
      what, algorithm, last, cost, report, limit, burst, window = unpack(layout, items, (j - 1) * size + 1)
      local s = states[KEYS[j]]
      if what == 1 then
        back(s, algorithm, cost, limit, window)
        verdicts[j] = 1
      elseif take(s, algorithm, cost, limit, burst, window) then
        verdicts[j] = 1
      else
        verdicts[j], allowed = 0, false
      end
    end
    if not allowed then
      for j = first, i do
        local s, t = states[KEYS[j]], told[j]
        s[1], s[2], s[3] = t[1], t[2], t[3]
      end
    end
    for j = first, i do
      local s = states[KEYS[j]]
      answers[j] = pack('<BdI4I4', verdicts[j], max(s[1] - now, 0), s[2], s[3])
    end
  end
  i = i + 1
end

for k, s in pairs(states) do
  if s[4] then
    if s[1] > now then
      redis.call('SET', k, pack('<BdI4I4', 1, s[1], s[2], s[3]), 'PX', ceil((s[1] - now) / 1000))
    else
      redis.call('DEL', k)
    end
  end
end
return table.concat(answers)
