package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/go-redis/redis_rate/v10"
	goredis "github.com/redis/go-redis/v9"

	"github.com/ipwarden/ipwarden/redis"
)

// startRedis starts a server on a free port, which keeps nothing on disk.
func startRedis(ctx context.Context) (addr string, pid int, stop func(), err error) {
	ports, err := freePorts(1)
	if err != nil {
		return "", 0, nil, err
	}
	dir, err := os.MkdirTemp("", "ipwarden-bench-redis")
	if err != nil {
		return "", 0, nil, err
	}
	cmd := exec.CommandContext(ctx, "redis-server", "--bind", "127.0.0.1", "--port", ports[0], "--save", "", "--appendonly", "no", "--dir", dir)
	if err := cmd.Start(); err != nil {
		os.RemoveAll(dir)
		return "", 0, nil, err
	}
	stop = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		os.RemoveAll(dir)
	}
	addr = net.JoinHostPort("127.0.0.1", ports[0])
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		c, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			c.Close()
			return addr, cmd.Process.Pid, stop, nil
		}
		if time.Now().After(end) {
			stop()
			return "", 0, nil, fmt.Errorf("redis-server does not listen on %s: %w", addr, err)
		}
	}
}

// serverTime is the CPU time of a process so far; 0 for none.
func serverTime(pid int) (time.Duration, error) {
	if pid == 0 {
		return 0, nil
	}
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, err
	}
	return statTime(string(text))
}

func (c *limitCase) client() *goredis.Client {
	return goredis.NewClient(&goredis.Options{Addr: c.redis, PoolSize: 64})
}

// openPipeline is what tutorials show.
func openPipeline(c *limitCase) (limitContestant, error) {
	client, keys, ctx := c.client(), c.texts(), context.Background()
	return asked(func(i int) bool {
		p := client.Pipeline()
		n := p.Incr(ctx, "rl:"+keys[i])
		p.Expire(ctx, "rl:"+keys[i], time.Minute)
		_, err := p.Exec(ctx)
		return err == nil && n.Val() <= int64(c.rate)
	}), nil
}

func openRedisRate(c *limitCase) (limitContestant, error) {
	l, keys, ctx := redis_rate.NewLimiter(c.client()), c.texts(), context.Background()
	r := redis_rate.PerMinute(int(c.rate))
	return asked(func(i int) bool {
		got, err := l.Allow(ctx, keys[i], r)
		return err == nil && got.Allowed > 0
	}), nil
}

func openExact(c *limitCase) (limitContestant, error) { return openShared(c, false) }
func openFast(c *limitCase) (limitContestant, error)  { return openShared(c, true) }

func openShared(c *limitCase, fast bool) (limitContestant, error) {
	// The budget is large: a decision without the server would be a cheap one.
	l, err := redis.New(context.Background(), redis.Config{Addresses: []string{c.redis}, Fast: fast, Budget: 10 * time.Second})
	if err != nil {
		return nil, err
	}
	return takesOf(c, l), nil
}
