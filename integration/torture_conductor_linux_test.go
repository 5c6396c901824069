package integration

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fatvol/image/fat/fattest"
)

// A conductor has the medium go and return under the writers of TestTorture, and says when all of them
// rest, so that the volume can be looked at.
type conductor struct {
	t      *testing.T
	rng    *rand.Rand
	host   *host
	dir    string // the mount
	server *server
	saved  string // what is on the medium, as last looked at

	// medium is held shared by writers that need it there, and exclusively while it is away.
	medium      sync.RWMutex
	phase       atomic.Int64 // odd while the medium is away
	ops, failed atomic.Int64
	pulls       int
	generations int // of the serving process

	barrier barrier
	mu      struct {
		sync.Mutex
		turns, last int // how often all were to rest, and how often they will be
		end         bool
		err         error
	}
	series series
}

func newConductor(t *testing.T) *conductor {
	scratch := fastDir(t)
	c := &conductor{t: t, rng: rand.New(rand.NewPCG(*tortureSeed, 1<<32)), saved: filepath.Join(scratch, "saved.img")}
	c.host = startHost(t, losingVariable, newTortureImage(t, scratch))
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of the last mount:\n%s", c.server.log)
		}
	})
	c.dir = mountImage(t, c.host.img, "tz=UTC")
	c.server = c.serving()
	c.generations, c.series.began = 1, time.Now()
	c.barrier.init(tortureWriters)
	c.mu.last = min(max(2, int(*tortureTime/(15*time.Second))), 40)
	return c
}

// fail ends the torture.
func (c *conductor) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t.Errorf("after %v, pull %d, seed %d: %v", time.Since(c.series.began).Round(time.Second), c.pulls, *tortureSeed, err)
	if c.mu.err == nil {
		c.mu.err = err
	}
}

func (c *conductor) failure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mu.err
}

// turns is how often all were to rest so far, and whether the last time was the end.
func (c *conductor) turns() (n int, end bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mu.turns, c.mu.end
}

// conduct goes on until all writers have ended.
func (c *conductor) conduct(ended <-chan struct{}) {
	for {
		select {
		case <-ended:
			return
		case <-time.After(c.upTo(4 * time.Second)): // how long the medium is there is what is random
		}
		c.nextTurn()
		// Not Lock, which would keep out those that have it while others come to join them.
		if c.failure() != nil || !c.medium.TryLock() {
			continue
		}
		if err := c.pull(); err != nil {
			c.fail(fmt.Errorf("pull: %w", err))
		}
		c.medium.Unlock()
	}
}

// nextTurn has all writers rest when it is time.
func (c *conductor) nextTurn() {
	rested := c.barrier.rounds() // not under the lock: whoever rests takes it
	c.mu.Lock()
	defer c.mu.Unlock()
	at := *tortureTime * time.Duration(c.mu.turns+1) / time.Duration(c.mu.last)
	if c.mu.turns == rested && !c.mu.end && time.Since(c.series.began) >= at {
		c.mu.turns++
		c.mu.end = c.mu.turns == c.mu.last
	}
}

func (c *conductor) upTo(d time.Duration) time.Duration { return time.Duration(c.rng.Int64N(int64(d))) }

// pull takes the medium away, and brings it back.
func (c *conductor) pull() error {
	c.phase.Add(1)
	pull := []string{"pull", strconv.FormatUint(c.rng.Uint64(), 10)}
	steps := [][]string{pull, {"unmount"}, {"plug"}}
	if c.rng.IntN(4) == 0 { // unmounted while it works: then there is time to sync
		steps = [][]string{{"unmount"}, pull, {"plug"}}
	}
	for _, step := range steps {
		if err := c.host.try(step...); err != nil {
			return fmt.Errorf("%v: %w", step, err)
		}
		if step[0] != "plug" {
			time.Sleep(c.upTo(time.Second)) // so that it goes at one moment and returns at another
		}
	}
	c.pulls++
	c.generations++
	want := strconv.Itoa(c.generations)
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		generation, err := getxattr(c.dir, "user.fatvol.generation")
		state, err2 := getxattr(c.dir, "user.fatvol.state")
		if err := errors.Join(err, err2); err != nil {
			return err
		}
		if state == "present" && generation == want {
			c.phase.Add(1)
			return nil
		}
		if time.Now().After(deadline) {
			reason, _ := getxattr(c.dir, "user.fatvol.reason")
			return fmt.Errorf("the medium is not back: %s, generation %s, want %s: %s", state, generation, want, reason)
		}
	}
}

// rest looks at the volume while nobody does anything, and nobody has a file open.
func (c *conductor) rest() {
	if c.failure() != nil {
		return
	}
	c.series.add(statusOf(c.t, c.dir), c)
	turns, end := c.turns()
	var err error
	if end || turns == max(1, c.mu.last/6) || turns == c.mu.last/3 {
		err = c.remount(end)
	} else {
		err = c.clean()
	}
	if err == nil {
		err = fsckFindsNothing(c.saved)
	}
	if err != nil {
		c.fail(fmt.Errorf("at rest, turn %d: %w", turns, err))
	}
}

// clean waits until the mount has made the volume clean by itself: what is on the medium is all there is.
func (c *conductor) clean() error {
	for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		if err := c.host.try("save", c.saved); err != nil {
			return err
		}
		src, err := openSource(c.saved)
		if err != nil {
			return err
		}
		r, err := fattest.Check(src)
		src.(imageSource).Close()
		if err == nil {
			err = r.DamageErr()
		}
		if err != nil || !r.Dirty {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the volume is not marked clean, %v after the last change: %+v", patience, statusOf(c.t, c.dir))
		}
	}
}

// remount unmounts, and mounts again unless this is the end.
func (c *conductor) remount(end bool) error {
	umount(c.t, c.dir)
	for line := range strings.Lines(c.server.log.String()) {
		if !strings.Contains(line, goneLine) && !strings.Contains(line, backLine) {
			return fmt.Errorf("the log has %q", line)
		}
	}
	err := c.host.try("save", c.saved)
	if err != nil || end {
		return err
	}
	if c.server, err = startServer(c.t, c.host.img, c.dir, "tz=UTC"); err != nil {
		return err
	}
	mounts.Lock()
	servers[c.dir] = c.server
	mounts.Unlock()
	c.generations = 1
	return nil
}

// serving is the process that serves the mount.
func (c *conductor) serving() *server {
	mounts.Lock()
	defer mounts.Unlock()
	return servers[c.dir]
}

// A barrier has its members wait for each other.
type barrier struct {
	mu      sync.Mutex
	all     *sync.Cond
	members int
	waiting int
	round   int
}

func (b *barrier) init(members int) { b.members, b.all = members, sync.NewCond(&b.mu) }

// wait waits until all members do, has the last of them do something, and lets all go on.
func (b *barrier) wait(do func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.waiting++; b.waiting == b.members {
		do()
		b.release()
		return
	}
	for round := b.round; round == b.round; {
		b.all.Wait()
	}
}

func (b *barrier) release() {
	b.waiting = 0
	b.round++
	b.all.Broadcast()
}

// leave is for a member that will not wait any more.
func (b *barrier) leave() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.members--; b.waiting == b.members {
		b.release()
	}
}

// rounds is how often all members have waited.
func (b *barrier) rounds() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.round
}
