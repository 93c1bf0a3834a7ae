-- Adds counts and moves marks, or does nothing and returns 0.
-- KEYS: the hash of marks; the hashes of counts.
-- ARGV: how many marks, of each its name, where it was and where to; for how many
-- seconds counts are kept; of each count the number of its key, its name, and n.
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
for i = at + 1, #ARGV, 3 do
  redis.call('HINCRBY', KEYS[tonumber(ARGV[i])], ARGV[i + 1], ARGV[i + 2])
end
for i = 2, #KEYS do
  redis.call('EXPIRE', KEYS[i], ARGV[at])
end
return 1
