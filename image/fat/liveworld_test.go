package fat_test

import (
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"fatvol/image/device"
	"fatvol/image/device/faultdev"
	"fatvol/image/fat"
	"fatvol/image/fat/fattest"
)

var liveWorlds = flag.Int("live-worlds", 16, "how many `worlds` TestLiveWorlds cuts, from -world on")

// liveAfterCut mounts what a cut left, works there while it is being repaired, and cuts that.
func liveAfterCut(m *device.Mem, rng *rand.Rand) (err error) {
	var trace []string
	defer func() {
		if err != nil {
			err = fmt.Errorf("%w\n\t%s", err, strings.Join(trace, "\n\t"))
		}
	}()
	r0, err := fattest.Check(m)
	if err != nil {
		return err
	}
	need := map[string]bool{} // true: prefix
	of := map[string]string{}
	var all []string
	heads := map[uint32]int{}
	for _, f := range r0.Files {
		heads[f.First]++
	}
	for _, f := range r0.Files {
		if f.IsDir || f.Size == 0 || strings.Contains(f.Path, "xchg") {
			continue
		}
		got, err := f.Contents()
		if err != nil {
			return err
		}
		of[f.Path] = string(got)
		all = append(all, f.Path)
		if heads[f.First] == 1 {
			need[string(got)] = false
		}
	}
	if len(all) == 0 {
		return nil
	}
	base := m.Clone()
	rec := faultdev.NewRecorder(m.Clone())
	v, err := fat.Open(rec, fat.Options{CommitDelay: -time.Second, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	tree := engineTree{v}
	for i := range 4 + rng.IntN(5) {
		p := all[rng.IntN(len(all))]
		q := all[rng.IntN(len(all))]
		for range rng.IntN(3) {
			runtime.Gosched()
		}
		if rng.IntN(3) == 0 {
			time.Sleep(time.Duration(rng.IntN(300)) * time.Microsecond)
		}
		data := of[p]
		note := func(s string, e error) {
			trace = append(trace, fmt.Sprintf("%d %s %q %q: %v (%v)", rec.Len(), s, p, q, e, v.Repair()))
		}
		moved := func(to string) {
			all[slices.Index(all, p)] = to
			delete(of, p)
			of[to] = data
		}
		gone := func(x string) {
			delete(need, of[x])
			delete(of, x)
			all = slices.DeleteFunc(all, func(s string) bool { return s == x })
		}
		switch rng.IntN(8) {
		case 0, 1:
			to := fmt.Sprintf("live%d", i)
			if rng.IntN(2) == 0 {
				to = "live number " + to
			}
			e := tree.Rename(p, to, 0)
			note("rename to "+to, e)
			if e == nil {
				moved(to)
			}
		case 2:
			if p == q || of[p] == of[q] {
				continue
			}
			d := of[q]
			delete(need, d)
			e := tree.Rename(p, q, 0)
			note("rename over", e)
			if e == nil {
				gone(q)
				moved(q)
			}
		case 3:
			delete(need, data)
			e := tree.Unlink(p)
			note("unlink", e)
			gone(p)
		case 4:
			f, e := tree.Open(p)
			if e == nil {
				if _, ok := need[data]; ok {
					need[data] = true
				}
				e = f.Append([]byte(fattest.Records(uint32(900000+i), 1+rng.IntN(2000))))
				_ = f.Close()
			}
			note("append", e)
		case 5:
			delete(need, data)
			f, e := tree.Open(p)
			if e == nil {
				_ = f.Truncate(0)
				e = f.Append([]byte(fattest.Records(uint32(900000+i), 1+rng.IntN(2000))))
				_ = f.Close()
			}
			note("anew", e)
			gone(p)
		case 6:
			d := fmt.Sprintf("ldir%d", i)
			e := tree.Mkdir(d)
			to := path.Join(d, path.Base(p))
			if e == nil {
				e = tree.Rename(p, to, 0)
			}
			note("into "+d, e)
			if e == nil {
				moved(to)
			}
		case 7:
			note("sync", v.Sync())
		}
		if len(all) == 0 {
			break
		}
	}
	if e := v.Sync(); e != nil {
		return fmt.Errorf("sync: %w", e)
	}
	<-v.Repaired()
	if st := v.Repair(); st != fat.RepairDone && st != fat.RepairNone {
		err = fmt.Errorf("repair ended %v", st)
	}
	if e := v.Close(); e != nil {
		return e
	}
	if err != nil {
		return err
	}
	return faultdev.EachCut(base, rec.Log(), func(x *faultdev.Cut) error {
		if x.At != rec.Len() && rng.IntN(4) > 0 {
			return nil
		}
		c, err := x.Scattered(rng)
		if err != nil {
			return err
		}
		r, err := fattest.Check(c)
		if err == nil {
			err = r.DamageErr()
		}
		if err != nil {
			return fmt.Errorf("live cut %d: %w", x.At, err)
		}
		before := paths(r)
		if st, err := repaired(c, fat.Options{}); err != nil || st == fat.RepairDamage || st == fat.RepairFailed {
			return fmt.Errorf("live cut %d: repaired %v: %w; before%s", x.At, st, err, before)
		}
		r, err = fattest.Check(c)
		if err == nil {
			err = r.DamageErr()
		}
		if err != nil {
			return fmt.Errorf("live cut %d, repaired: %w", x.At, err)
		}
		have := map[string]bool{}
		for _, f := range r.Files {
			if got, err := f.Contents(); !f.IsDir && err == nil {
				have[string(got)] = true
			}
		}
		for d, prefix := range need {
			ok := have[d]
			for h := range have {
				ok = ok || prefix && strings.HasPrefix(h, d)
			}
			if !ok {
				return fmt.Errorf("live cut %d: contents of %d bytes are gone, now%s; before%s; at first%s", x.At, len(d), paths(r), before, paths(r0))
			}
		}
		return nil
	})
}

// TestLiveWorlds cuts worlds, works on what that leaves while it is being repaired, and cuts that as well: what was there under one
// name, and nobody has removed, is there after the next repair, which finds no damage.
func TestLiveWorlds(t *testing.T) {
	for seed := *world1; seed < *world1+*liveWorlds; seed++ {
		l := worldLayouts[seed%len(worldLayouts)]
		w := &world{rng: rand.New(rand.NewPCG(uint64(seed), 77)), dirs: []string{""}, files: map[string]*worldFile{}, names: map[string]bool{}}
		c, base := recordScene(t, l, func(c *scene) {
			w.scene = c
			w.sync()
			for range 50 {
				w.step()
			}
			w.closeAll()
			w.sync()
		})
		rng := rand.New(rand.NewPCG(uint64(seed), 79))
		err := faultdev.EachCut(base, c.rec.Log(), func(x *faultdev.Cut) error {
			if rng.IntN(4) > 0 {
				return nil
			}
			m, err := x.Scattered(rng)
			if err != nil {
				return err
			}
			if err := liveAfterCut(m, rng); err != nil {
				return fmt.Errorf("cut after %d of %d: %w", x.At, c.rec.Len(), err)
			}
			return nil
		})
		if err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
	}
}
