-- Notes that an event of an attempt was told, and which limits it charges.
--
-- KEYS[1] is a hash with the note of the attempt. ARGV[1] is the field of the
-- event, ARGV[2] the limits as bits. The answer is -1 when there is no note; else
-- the bits of the limits that were not charged before, and 65536 when the event was
-- not told before.

if redis.call('HEXISTS', KEYS[1], 'note') == 0 then
  return -1
end
local answer = 0
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 and redis.call('HINCRBY', KEYS[1], 'events', 1) <= 8 then
  redis.call('HSET', KEYS[1], ARGV[1], '')
  answer = 65536
end
local charged = tonumber(redis.call('HGET', KEYS[1], 'charged')) or 0
local due = bit.band(tonumber(ARGV[2]), bit.bnot(charged))
if due ~= 0 then
  redis.call('HSET', KEYS[1], 'charged', bit.bor(charged, due))
end
return answer + due
