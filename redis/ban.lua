-- Says what changed of bans, and what was said since.
--
-- KEYS: what the store is (epoch, seq), the entries by network, their order by
-- when they were said, and by when they end.
-- ARGV: an epoch for a store that has none, the asker's epoch and mark, how many
-- entries there may be, how many go into an answer, the time, then for each change
-- its network, stamp, end and text.
-- Answers epoch, mark, 1 if the asker's mark is of something that was lost, 1 if
-- there is more, and the texts.
local meta, texts, order, ends = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local epoch = redis.call('HGET', meta, 'epoch')
if not epoch then
  epoch = ARGV[1]
  redis.call('HSET', meta, 'epoch', epoch, 'seq', 0)
  redis.call('DEL', texts, order, ends)
end
local seq = tonumber(redis.call('HGET', meta, 'seq')) or 0
local from, anew = tonumber(ARGV[3]), 0
if ARGV[2] ~= epoch or from > seq then
  from = 0
  anew = ARGV[2] ~= '' and 1 or 0
end
for i = 7, #ARGV, 4 do
  local network, stamp, text = ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 3]
  local old = redis.call('HGET', texts, network)
  local was = old and tonumber(string.match(old, '^(%d+) ')) or -1
  if stamp > was then
    seq = redis.call('HINCRBY', meta, 'seq', 1)
    redis.call('HSET', texts, network, text)
    redis.call('ZADD', order, seq, network)
    redis.call('ZADD', ends, ARGV[i + 2], network)
  end
end
local gone = redis.call('ZRANGEBYSCORE', ends, '-inf', ARGV[6], 'LIMIT', 0, 256)
local over = redis.call('ZCARD', ends) - #gone - tonumber(ARGV[4])
if over > 0 then
  gone = redis.call('ZRANGE', ends, 0, #gone + math.min(over, 256) - 1)
end
for _, network in ipairs(gone) do
  redis.call('HDEL', texts, network)
  redis.call('ZREM', order, network)
  redis.call('ZREM', ends, network)
end
local page = tonumber(ARGV[5])
local list = redis.call('ZRANGEBYSCORE', order, '(' .. from, '+inf', 'WITHSCORES', 'LIMIT', 0, page)
local answer = {epoch, seq, anew, 0}
if #list == 2 * page then
  answer[2], answer[4] = tonumber(list[#list]), 1
end
for i = 1, #list, 2 do
  answer[#answer + 1] = redis.call('HGET', texts, list[i]) or ''
end
return answer
