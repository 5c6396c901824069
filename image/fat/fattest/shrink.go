package fattest

import (
	"errors"
	"slices"
	"strings"
	"time"
	"unicode"
)

// shrink leaves out operations for as long as what remains fails in the same way (delta
// debugging: ever smaller pieces are left out, until no single one can be).
func (f *Failure) shrink(cfg Config) {
	deadline := time.Now().Add(cfg.Shrink)
	want := signature(f)
	// same replays and, if it fails alike, keeps the result.
	same := func(ops []Op) bool {
		var g *Failure
		if err := Replay(cfg, ops); !errors.As(err, &g) || signature(g) != want {
			return false
		}
		f.Ops, f.Err = slices.Clone(g.Ops), g.Err
		return true
	}
	for size := len(f.Ops) / 2; size > 0; {
		removed := false
		for at := 0; at < len(f.Ops)-1; {
			if time.Now().After(deadline) {
				return
			}
			end := min(at+size, len(f.Ops)-1)
			if same(slices.Concat(f.Ops[:at], f.Ops[end:])) {
				removed = true
			} else {
				at = end
			}
		}
		if !removed || size > 1 {
			size /= 2
		}
	}
}

// signature tells failures apart: what failed and the words, not the numbers and names, of how.
func signature(f *Failure) string {
	words, _, _ := strings.Cut(f.Err.Error(), "\n")
	if i := strings.Index(words, "}: "); i >= 0 {
		words = words[i+3:]
	}
	quoted := false
	words = strings.Map(func(r rune) rune {
		if r == '"' {
			quoted = !quoted
		}
		if quoted || !unicode.IsLetter(r) && r != ' ' {
			return -1
		}
		return r
	}, words)
	return f.Ops[len(f.Ops)-1].Kind.String() + " " + words[:min(len(words), 60)]
}
