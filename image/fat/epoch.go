package fat

import (
	"sort"
	"sync"
)

// epoch collects what changed in memory since the last commit took its snapshot. Guarded by v.meta,
// but for the pages of the FAT, which the table keeps.
type epoch struct {
	id    uint64
	open  bool        // something changed
	nodes []*Node     // directory entries to be written
	dirs  []*Node     // directories with edited slots
	trims []*Node     // files and directories that may have more clusters than they need
	dead  []deadChain // chains that nothing will refer to once this epoch is on the medium
	slots int         // edits of slots
	moved bool        // a directory went to another parent
	spare bool        // an exchange has used a spare name
	named bool        // a rename was made
}

// changed notes that the open epoch has something to commit, and has the committer see it. The caller
// holds v.meta.
func (v *Volume) changed() {
	v.epoch.open = true
	v.wake()
}

// wake has the committer begin a round after its delay. Only the first since its last round wakes it: there can be
// thousands, and each would take a thread from somebody.
func (v *Volume) wake() {
	if v.kicked.Load() || v.kicked.Swap(true) {
		return
	}
	select {
	case v.kick <- struct{}{}:
	default:
	}
}

// A plan is one epoch on its way to the medium: every write of it, by phase. What it holds does not
// change while operations go on in the next epoch.
type plan struct {
	id     uint64
	flag   []byte // the boot sector's first atom that marks the volume dirty, before anything else
	phases [phaseCount][]write
	// barrier says that everything written before must be durable before the phase begins.
	barrier [phaseCount]bool
	next    phase  // first phase that is not completely written
	need    uint64 // value of dataSeq that has to be synced before the next barrier
	nodes   []*Node
	dirs    []planDir
	pages   []*page
	dead    []deadChain
	freed   []extent         // leave the quarantine once the plan is done
	mirror  map[int64][]byte // what other FATs lack once the plan is done
}

// planDir is a directory that the plan writes, and the slots that become free with it.
type planDir struct {
	n     *Node
	freed map[int32]int32
}

func (p *plan) add(ph phase, off int64, data []byte) {
	p.phases[ph] = append(p.phases[ph], write{off, data})
}

// coalesce sorts writes and joins those that touch, so that the device sees few and large ones.
func coalesce(ws []write) []write {
	sort.SliceStable(ws, func(a, b int) bool { return ws[a].off < ws[b].off })
	out := ws[:0]
	for len(ws) > 0 {
		n, size := 1, len(ws[0].data)
		for n < len(ws) && ws[n].off == ws[0].off+int64(size) {
			size += len(ws[n].data)
			n++
		}
		w := ws[0]
		if n > 1 {
			w.data = make([]byte, 0, size)
			for _, part := range ws[:n] {
				w.data = append(w.data, part.data...)
			}
		}
		out, ws = append(out, w), ws[n:]
	}
	return out
}

// errseq keeps the last failure of work in the background, so that each handle learns of it once,
// as errseq_t does in the kernel.
type errseq struct {
	mu  sync.Mutex
	seq uint64
	err error
}

func (e *errseq) record(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.seq++
	e.err = err
}

// since returns the failure after the one with number seen, if any, and the newest number.
func (e *errseq) since(seen uint64) (uint64, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.seq == seen {
		return seen, nil
	}
	return e.seq, e.err
}

// newest is the number of the last failure.
func (e *errseq) newest() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.seq
}
