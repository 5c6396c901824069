package integration

import (
	"errors"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// While the medium is gone, a million calls reach nobody but us: the host counts. And when nobody calls,
// next to no processor time is used.
func TestGoneAsksNothing(t *testing.T) {
	calls := int64(1_000_000)
	if testing.Short() || raceEnabled {
		calls = 30_000
	}
	h := newHost(t)
	m := mountOnHost(t, h, failTimeout)
	u := newUsers(t, m.dir)
	h.fail(1, syscall.ENODEV)
	gone := await(t, m.dir, "gone", isGone)
	before := h.dataCalls()

	var made atomic.Int64
	var callers sync.WaitGroup
	began := time.Now()
	for range 4 {
		callers.Go(func() {
			for made.Load() < calls {
				for what, call := range u.calls() {
					if err := call(); !errors.Is(err, syscall.EIO) {
						t.Errorf("%s: %v, want EIO", what, err)
						made.Store(calls)
					}
					made.Add(1)
				}
			}
		})
	}
	callers.Wait()
	t.Logf("%d calls in %v", made.Load(), time.Since(began).Round(time.Millisecond))
	if n := h.dataCalls() - before; n != 0 {
		t.Errorf("%d calls reached the host", n)
	}
	st := statusOf(t, m.dir)
	// Only the verifier goes there, and asks for the image, less and less often.
	if st.State != "gone" || st.Generation != gone.Generation || st.HostCalls != gone.HostCalls {
		t.Errorf("before: %+v, after: %+v", gone, st)
	}

	idle(t, m.pid)
	h.heal()
	await(t, m.dir, "back", isPresent)
	u.mustGoOn()
	u.closeAll()
	if out, code := m.umount(); code != 0 {
		t.Errorf("umount: exit code %d: %s", code, out)
	}
	fsck(t, h.backing)
}

// idle fails the test unless a process that has nothing to do uses less than a hundredth of a processor, in
// one of three spans: it may still be busy with what was before.
func idle(t testing.TB, pid int) {
	t.Helper()
	const span, spans = 3 * time.Second, 3
	for i := range spans {
		before, _ := scheduled(pid)
		began := time.Now()
		time.Sleep(span)
		after, _ := scheduled(pid)
		took := time.Since(began)
		t.Logf("processor time in %v of nothing: %v", took.Round(time.Millisecond), after-before)
		if after-before < took/100 {
			return
		}
		if i == spans-1 {
			t.Error("that is more than 1 %")
		}
	}
}
