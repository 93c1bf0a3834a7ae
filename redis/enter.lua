-- Gives an attempt a place under a key, by the server's clock.
--
-- KEYS[1] is a sorted set: attempts by when their time is up, in milliseconds.
-- ARGV[1] is the attempt, ARGV[2] for how long it holds its place, ARGV[3] how many
-- places there are. The answer is how many are held with this one; one more than
-- there are when there was none left.

local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local life, most = tonumber(ARGV[2]), tonumber(ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
-- What ends later than a place can that is taken now is of a clock that was set back,
-- or of another server's that was ahead.
redis.call('ZREMRANGEBYSCORE', KEYS[1], '(' .. (now + life), '+inf')
local n = redis.call('ZCARD', KEYS[1])
if n >= most then
  return most + 1
end
redis.call('ZADD', KEYS[1], now + life, ARGV[1])
if redis.call('PTTL', KEYS[1]) < life then
  redis.call('PEXPIRE', KEYS[1], life)
end
return redis.call('ZCARD', KEYS[1])
