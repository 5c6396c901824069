package watch_test

import (
	"errors"
	"syscall"
	"testing"
	"testing/synctest"

	"fatvol/watch"
	"fatvol/watch/fakemedium"
)

func TestErrnos(t *testing.T) {
	for _, c := range []struct {
		errno syscall.Errno
		alive bool // does a probe succeed?
		gone  bool
	}{
		{syscall.ENODEV, true, true}, {syscall.ENXIO, true, true}, {syscall.ENOMEDIUM, true, true},
		{syscall.ESTALE, true, true}, {syscall.ENOTCONN, true, true}, {syscall.ESHUTDOWN, true, true},
		{syscall.EBADF, true, true},
		{syscall.EIO, false, true}, {syscall.EREMOTEIO, false, true}, {syscall.ETIMEDOUT, false, true}, {syscall.EROFS, false, true},
		{syscall.ENOLINK, false, true}, {syscall.ENOLINK, true, false},
		{syscall.EIO, true, false}, {syscall.EREMOTEIO, true, false}, {syscall.ETIMEDOUT, true, false}, {syscall.EROFS, true, false},
		{syscall.ENOSPC, false, false}, {syscall.EDQUOT, false, false}, {syscall.EFBIG, false, false}, {syscall.EINVAL, false, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, nil)
			defer r.close()
			r.slot.SetHook(func(call fakemedium.Call) error {
				if call.Op == "write" {
					return c.errno
				}
				if call.Op == "probe" && !c.alive {
					return syscall.ENODEV
				}
				return nil
			})
			err := r.write(0, 1)
			if isGone(err) != c.gone || !c.gone && !errors.Is(err, c.errno) {
				t.Errorf("%v: %v, want gone %v", c.errno, err, c.gone)
			}
			want := watch.Present
			if c.gone {
				want = watch.Gone
			}
			r.expect(want, 1)
		})
	}
}

// TestProbeErrnos: what a dead medium answers to a probe ends its time, with nobody using it.
func TestProbeErrnos(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EIO, syscall.ENODEV, syscall.EREMOTEIO, syscall.ENOLINK} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, nil)
			defer r.close()
			r.slot.SetHook(func(call fakemedium.Call) error {
				if call.Op == "probe" {
					return errno
				}
				return nil
			})
			r.Doubt()
			r.expect(watch.Gone, 1)
		})
	}
}
