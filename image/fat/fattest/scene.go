package fattest

import (
	"math/rand/v2"
	"testing"
)

// Tree is a volume in use, as a workload needs it. Paths are relative to the root.
type Tree interface {
	// Create makes a file that is not there yet.
	Create(path string) (TreeFile, error)
	Open(path string) (TreeFile, error)
	Mkdir(path string) error
	Rmdir(path string) error
	Unlink(path string) error
	// Rename takes flags as OpRename does.
	Rename(from, to string, flags int) error
	// Sync returns when everything is on the medium.
	Sync() error
}

// TreeFile is an open file of a Tree.
type TreeFile interface {
	// Append writes at the end, all or nothing.
	Append(p []byte) error
	Truncate(size int64) error
	Sync() error
	Close() error
}

// A Scene runs a workload on a volume whose writes are logged, and keeps what it was promised. What
// fails ends the test.
type Scene struct {
	Promises Promises

	t    testing.TB
	tree Tree
	log  func() int
	rng  *rand.Rand
	data uint32 // numbers of records that are in use
}

// NewScene returns a Scene. log is the length of the log of what was written; seed is that of the workload.
func NewScene(t testing.TB, tree Tree, log func() int, seed uint64) *Scene {
	return &Scene{t: t, tree: tree, log: log, rng: rand.New(rand.NewPCG(seed, 2))}
}

func (s *Scene) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// Promise says which contents the file at path may have from now on, and that it is there.
func (s *Scene) Promise(path string, allowed ...string) {
	s.promise(Promise{Path: path, Allowed: allowed})
}

// PromiseNothing ends the promise of a path.
func (s *Scene) PromiseNothing(path string) { s.promise(Promise{Path: path, Any: true}) }

func (s *Scene) promise(p Promise) {
	p.From = s.log()
	s.Promises = append(s.Promises, p)
}

// Data is size bytes that are nobody else's: see Records.
func (s *Scene) Data(size int) string {
	s.data++
	return Records(s.data, size)
}

// some is at least 1 and at most n.
func (s *Scene) some(n int) int { return s.rng.IntN(n) + 1 }

// Create makes a file with contents.
func (s *Scene) Create(path, data string) *SceneFile {
	s.t.Helper()
	f, err := s.tree.Create(path)
	s.must(err)
	file := &SceneFile{s, f}
	if data != "" {
		file.Append(data)
	}
	return file
}

// Open opens a file.
func (s *Scene) Open(path string) *SceneFile {
	s.t.Helper()
	f, err := s.tree.Open(path)
	s.must(err)
	return &SceneFile{s, f}
}

// Mkdir makes a directory.
func (s *Scene) Mkdir(path string) { s.t.Helper(); s.must(s.tree.Mkdir(path)) }

// Rmdir removes a directory.
func (s *Scene) Rmdir(path string) { s.t.Helper(); s.must(s.tree.Rmdir(path)) }

// Unlink removes a file.
func (s *Scene) Unlink(path string) { s.t.Helper(); s.must(s.tree.Unlink(path)) }

// Rename renames, over what is there.
func (s *Scene) Rename(from, to string) { s.t.Helper(); s.must(s.tree.Rename(from, to, 0)) }

// Exchange exchanges two names.
func (s *Scene) Exchange(a, b string) { s.t.Helper(); s.must(s.tree.Rename(a, b, Exchange)) }

// Sync has everything on the medium.
func (s *Scene) Sync() { s.t.Helper(); s.must(s.tree.Sync()) }

// SceneFile is an open file of a Scene.
type SceneFile struct {
	s *Scene
	f TreeFile
}

// Append writes at the end.
func (f *SceneFile) Append(data string) { f.s.t.Helper(); f.s.must(f.f.Append([]byte(data))) }

// Truncate sets the size in bytes.
func (f *SceneFile) Truncate(size int) { f.s.t.Helper(); f.s.must(f.f.Truncate(int64(size))) }

// Sync has the file on the medium.
func (f *SceneFile) Sync() { f.s.t.Helper(); f.s.must(f.f.Sync()) }

// Close closes it.
func (f *SceneFile) Close() { f.s.t.Helper(); f.s.must(f.f.Close()) }
