-- Adds counts and moves marks, or does nothing and returns 0, or an error.
-- KEYS: the hash of marks; the hashes of counts.
-- ARGV: how many marks, of each its name, where it was and where to; for how many
-- seconds counts are kept; for each hash of counts, the counts: of each the length of
-- its name in two bytes, its name, the length of n in one byte, and n in digits.
for i = 1, #KEYS do
  -- What fails half way would be counted again: a script's writes are not taken back.
  local kind = redis.call('TYPE', KEYS[i]).ok
  if kind ~= 'none' and kind ~= 'hash' then
    return redis.error_reply('WRONGTYPE ' .. KEYS[i] .. ' is a ' .. kind .. ', and no hash of counts')
  end
end
local n = tonumber(ARGV[1])
for i = 0, n - 1 do
  if (redis.call('HGET', KEYS[1], ARGV[2 + 3 * i]) or '0') ~= ARGV[3 + 3 * i] then
    return 0
  end
end
for i = 0, n - 1 do
  redis.call('HSET', KEYS[1], ARGV[2 + 3 * i], ARGV[4 + 3 * i])
end
local at = 2 + 3 * n
for i = 2, #KEYS do
  local counts, pos = ARGV[at + i - 1], 1
  while pos <= #counts do
    local name, by
    name, by, pos = struct.unpack('>Hc0Bc0', counts, pos)
    local done = redis.pcall('HINCRBY', KEYS[i], name, by)
    if type(done) == 'table' and done.err then
      redis.call('HSET', KEYS[i], name, by) -- what was there was no count
    end
  end
  redis.call('EXPIRE', KEYS[i], ARGV[at])
end
return 1
