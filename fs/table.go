package fs

import (
	"maps"
	"slices"
	"sync"
)

// A table finds things by a number that the kernel hands back to us: node ids and file handles.
// The numbers come from counters, so their low bits spread evenly over the shards, and requests
// for different files do not meet on a lock.
type table[T any] struct {
	shards [tableShards]struct {
		mu sync.RWMutex
		m  map[uint64]T
	}
}

const tableShards = 32

func (t *table[T]) get(id uint64) (T, bool) {
	s := &t.shards[id%tableShards]
	s.mu.RLock()
	v, ok := s.m[id]
	s.mu.RUnlock()
	return v, ok
}

// update replaces what is under id by what fn makes of it; ok says whether there was something,
// and on return whether there shall be. No other update of id runs meanwhile.
func (t *table[T]) update(id uint64, fn func(old T, ok bool) (now T, keep bool)) {
	s := &t.shards[id%tableShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	old, ok := s.m[id]
	now, keep := fn(old, ok)
	switch {
	case keep:
		if s.m == nil {
			s.m = make(map[uint64]T)
		}
		s.m[id] = now
	case ok:
		delete(s.m, id)
	}
}

func (t *table[T]) put(id uint64, v T) {
	t.update(id, func(T, bool) (T, bool) { return v, true })
}

// take removes and returns what is under id.
func (t *table[T]) take(id uint64) (v T, ok bool) {
	t.update(id, func(old T, was bool) (T, bool) {
		v, ok = old, was
		return old, false
	})
	return v, ok
}

// all returns what is in the table. What comes and goes meanwhile may be missed.
func (t *table[T]) all() (vs []T) {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.RLock()
		vs = slices.AppendSeq(vs, maps.Values(s.m))
		s.mu.RUnlock()
	}
	return vs
}

// ids returns the numbers of what is in the table. What comes and goes meanwhile may be missed.
func (t *table[T]) ids() (ids []uint64) {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.RLock()
		ids = slices.AppendSeq(ids, maps.Keys(s.m))
		s.mu.RUnlock()
	}
	return ids
}

// drain empties the table and returns what was in it.
func (t *table[T]) drain() (vs []T) {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		vs = slices.AppendSeq(vs, maps.Values(s.m))
		s.m = nil
		s.mu.Unlock()
	}
	return vs
}
