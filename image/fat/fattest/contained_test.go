package fattest

import (
	"os"
	"testing"
)

// verdict is a test that fails without anybody minding.
type verdict struct {
	testing.TB
	failed bool
}

func (v *verdict) Helper()               {}
func (v *verdict) Errorf(string, ...any) { v.failed = true }

// TestContained has something left behind of each sort. Goroutines take half a minute until they count as left.
func TestContained(t *testing.T) {
	var kept []byte
	var file *os.File
	for _, c := range []struct {
		what string
		fn   func()
		fits bool
	}{
		{"nothing", func() {}, true},
		{"a goroutine that ends", func() { go func() {}() }, true},
		{"a little memory", func() { kept = make([]byte, 1<<18) }, true},
		{"much memory", func() { kept = make([]byte, 1<<21) }, false},
		{"a file that is closed", func() {
			f, err := os.Open(os.DevNull)
			if err == nil {
				f.Close()
			}
		}, true},
		{"a file", func() { file, _ = os.Open(os.DevNull) }, false},
	} {
		v := &verdict{TB: t}
		Contained(v, 1<<20, c.fn)
		if v.failed == c.fits {
			t.Errorf("%s: failed %v", c.what, v.failed)
		}
	}
	file.Close()
	_ = kept
}
