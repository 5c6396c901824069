package fattest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// A Promise says what may be found at a path after every cut from one on, until another promise of the path.
type Promise struct {
	From    int // length of the log of what was written
	Path    string
	Any     bool     // nothing is promised
	Allowed []string // contents, one of which the file has
	Absent  bool     // it need not be there; and must not, where nothing is allowed
}

// Promises are those of a workload, in the order in which they were made.
type Promises []Promise

// Judge looks at what a cut left after so many entries of the log. The error says what is wrong: damage, a
// promise that was not kept, or bytes of one file in another. Leftovers that are harmless are not.
func (ps Promises) Judge(src Source, upTo int) (*Report, error) {
	r, err := Check(src)
	if err != nil {
		return nil, err
	}
	return r, errors.Join(r.DamageErr(), ps.Kept(r, upTo), Unmingled(r))
}

// Kept says which promise was not kept.
func (ps Promises) Kept(r *Report, upTo int) error {
	now := map[string]Promise{}
	for _, p := range ps {
		if p.From <= upTo {
			now[p.Path] = p
		}
	}
	for _, path := range slices.Sorted(maps.Keys(now)) {
		p := now[path]
		if err := p.kept(r); err != nil {
			return fmt.Errorf("%q, promised at entry %d: %w", p.Path, p.From, err)
		}
	}
	return nil
}

func (p Promise) kept(r *Report) error {
	f := r.Find(p.Path)
	switch {
	case p.Any:
		return nil
	case f == nil && p.Absent:
		return nil
	case f == nil:
		return errors.New("is not there")
	case len(p.Allowed) == 0:
		return fmt.Errorf("is there, with %d bytes, and should not", f.Size)
	}
	got, err := f.Contents()
	if err == nil && !slices.Contains(p.Allowed, string(got)) {
		err = fmt.Errorf("holds %d bytes that it never should", len(got))
	}
	return err
}
