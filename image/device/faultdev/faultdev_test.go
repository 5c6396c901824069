package faultdev

import (
	"bytes"
	"errors"
	"strings"
	"syscall"
	"testing"

	"fatvol/image/device"
)

// scenario is a fixed row of operations, one of each kind and a second write.
func scenario(d device.Device) []error {
	p := make([]byte, 1024)
	var errs []error
	note := func(err error) { errs = append(errs, err) }
	_, err := d.ReadAt(p, 0)
	note(err)
	_, err = d.WriteAt(bytes.Repeat([]byte{1}, 2048), 512)
	note(err)
	note(device.ZeroAt(d, 8192, 4096))
	note(device.DiscardAt(d, 20000, 512))
	note(d.Sync())
	_, err = d.WriteAt(bytes.Repeat([]byte{2}, 512), 100)
	note(err)
	return errs
}

func TestCounts(t *testing.T) {
	f := New(device.NewMem(1 << 20))
	scenario(f)
	want := Counts{Read: 1, Write: 2, Sync: 1, Zero: 1, Discard: 1}
	if got := f.Counts(); got != want || got.Total() != 6 || got.Changes() != 5 {
		t.Errorf("Counts() = %+v, total %d, changes %d", got, got.Total(), got.Changes())
	}
	f.Reset()
	if got := f.Counts(); got != (Counts{}) {
		t.Errorf("Counts() after Reset = %+v", got)
	}
}

func TestRules(t *testing.T) {
	boom := errors.New("boom")
	for _, c := range []struct {
		name string
		rule Rule
		want string // operations of the scenario: x fails, . does not
	}{
		{"everything", Rule{}, "xxxxxx"},
		{"the third", FailAt(3, boom), "..x..."},
		{"from the third", FailFrom(3, boom), "..xxxx"},
		{"two from the second", Rule{From: 2, Count: 2}, ".xx..."},
		{"writes", Rule{Kinds: Of(Write)}, ".x...x"},
		{"the second write", Rule{Kinds: Of(Write), From: 2, Count: 1}, ".....x"},
		{"changes", Rule{Kinds: Changes}, ".xxxxx"},
		{"sync", Rule{Kinds: Of(Sync), Err: boom}, "....x."},
		{"sectors 0 and 1", Rule{Len: 1024}, "xx...x"},
		{"a byte of the zeroed", Rule{Off: 12287, Len: 1}, "..x..."},
		{"a byte behind the zeroed", Rule{Off: 12288, Len: 1}, "......"},
		{"match", Rule{Match: func(op Op) bool { return op.No%2 == 0 }}, ".x.x.x"},
		{"none", Rule{From: 7}, "......"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := New(device.NewMem(1 << 20))
			f.Inject(c.rule)
			got, fails := "", int64(0)
			for _, err := range scenario(f) {
				if err == nil {
					got += "."
					continue
				}
				got, fails = got+"x", fails+1
				want := c.rule.Err
				if want == nil {
					want = ErrInjected
					if !errors.Is(err, syscall.EIO) {
						t.Errorf("%v is no EIO", err)
					}
				}
				if !errors.Is(err, want) {
					t.Errorf("%v, want %v", err, want)
				}
			}
			if got != c.want || f.Injected() != fails {
				t.Errorf("failed %q, want %q; Injected() = %d", got, c.want, f.Injected())
			}
			f.Heal()
			for _, err := range scenario(f) {
				if err != nil {
					t.Errorf("after Heal: %v", err)
				}
			}
		})
	}
}

// TestEffects looks at what a failing operation leaves, for each effect.
func TestEffects(t *testing.T) {
	const n = 4096
	for _, c := range []struct {
		name    string
		off     int64
		effect  Effect
		sectors int
		changed int64 // bytes of n that are changed
	}{
		{"none", 0, None, 0, 0},
		{"full", 0, Full, 0, n},
		{"torn at once", 0, Torn, 0, 0},
		{"torn after 3 sectors", 0, Torn, 3, 3 * 512},
		{"torn, not on a sector", 100, Torn, 1, 412},
		{"torn behind its end", 0, Torn, 100, n},
	} {
		for _, op := range []Kind{Write, Zero, Discard} {
			t.Run(c.name+" "+op.String(), func(t *testing.T) {
				m := device.NewMem(2 * n)
				m.WriteAt(bytes.Repeat([]byte{0xaa}, 2*n), 0)
				f := New(m)
				f.Inject(Rule{Effect: c.effect, Sectors: c.sectors})
				var err error
				fill, done := byte(0), int64(c.changed)
				switch op {
				case Write:
					fill = 0x55
					var m int
					m, err = f.WriteAt(bytes.Repeat([]byte{fill}, n), c.off)
					if int64(m) > done || m == n {
						t.Errorf("WriteAt returned %d with an error", m)
					}
				case Zero:
					err = f.ZeroAt(c.off, n)
				case Discard:
					err = f.DiscardAt(c.off, n)
				}
				if !errors.Is(err, ErrInjected) || !strings.Contains(err.Error(), op.String()) {
					t.Errorf("error %v", err)
				}
				want := bytes.Repeat([]byte{0xaa}, 2*n)
				for i := range done {
					want[c.off+i] = fill
				}
				got := make([]byte, 2*n)
				m.ReadAt(got, 0)
				if !bytes.Equal(got, want) {
					t.Errorf("%d bytes changed, want %d", 2*n-bytes.Count(got, []byte{0xaa}), done)
				}
			})
		}
	}
}

func TestSyncEffects(t *testing.T) {
	for effect, reaches := range map[Effect]int64{None: 0, Torn: 0, Full: 1} {
		below := New(device.NewMem(1024))
		f := New(below)
		f.Inject(Rule{Effect: effect})
		if err := f.Sync(); !errors.Is(err, ErrInjected) {
			t.Errorf("effect %d: %v", effect, err)
		}
		if got := below.Counts().Sync; got != reaches {
			t.Errorf("effect %d: %d syncs below", effect, got)
		}
	}
}

func TestGate(t *testing.T) {
	f := New(device.NewMem(4096))
	g := NewGate()
	f.Inject(Rule{Kinds: Of(Write), Gate: g})
	done := make(chan error)
	go func() {
		_, err := f.WriteAt([]byte{1}, 0)
		done <- err
	}()
	<-g.Reached()
	if _, err := f.ReadAt(make([]byte, 1), 0); err != nil {
		t.Errorf("a read while a write hangs: %v", err)
	}
	select {
	case err := <-done:
		t.Fatalf("the write came through: %v", err)
	default:
	}
	g.Open()
	g.Open()
	if err := <-done; err != nil {
		t.Error(err)
	}
	p := make([]byte, 1)
	if f.ReadAt(p, 0); p[0] != 1 {
		t.Error("the write that hung was lost")
	}
	f.Reset()
	closed := NewGate()
	closed.Open()
	f.Inject(Rule{Gate: closed, Err: syscall.ETIMEDOUT})
	if err := f.Sync(); !errors.Is(err, syscall.ETIMEDOUT) {
		t.Errorf("a gate with an error: %v", err)
	}
}

func TestVanish(t *testing.T) {
	below := New(device.NewMem(1 << 20))
	f := New(below)
	if err := f.Check(); err != nil {
		t.Fatal(err)
	}
	f.Vanish(syscall.ENODEV)
	for i, err := range append(scenario(f), f.Check()) {
		if !errors.Is(err, syscall.ENODEV) {
			t.Errorf("operation %d of a device that is gone: %v", i, err)
		}
	}
	if c := below.Counts(); c.Total() != 0 {
		t.Errorf("operations reached the device: %+v", c)
	}
	if f.Injected() != 6 {
		t.Errorf("Injected() = %d", f.Injected())
	}
	f.Heal()
	if err := f.Check(); err != nil {
		t.Error(err)
	}
	f.Vanish(nil)
	if err := f.Check(); !errors.Is(err, ErrInjected) {
		t.Error(err)
	}
}
