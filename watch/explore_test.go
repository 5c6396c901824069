package watch

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// The exploration: every order in which operations, the detectors, the verifier, the goroutines that
// look and that let the image go, timers and Close can do what they do, with every answer of the host to
// every call, each time the real transition function deciding what follows. Each thread is a program
// counter; what lies between two of them is atomic in the real code too, or touches nothing shared. The
// space is finite, as generations are bounded, and is walked whole.

// An answer of the host to a call.
type answer uint8

const (
	ansOK answer = iota
	ansHarmless
	ansDoubtful
	ansLost
	ansDeadline // it hangs, until the deadline
	ansClosed   // the medium went in the meantime
	answers
)

func (a answer) String() string { return answerNames[a] }

var (
	anyAnswer   = [answers]answer{ansOK, ansHarmless, ansDoubtful, ansLost, ansDeadline, ansClosed}
	answerNames = [answers]string{"answers", "fails harmlessly", "fails doubtfully", "fails for good", "overruns", "is abandoned"}
	generations = [...]string{"0", "1", "2", "3", "4"}
)

// Program counters of an operation.
const (
	opIdle uint8 = iota
	opCall
	opProbe
	opFailed
	opOverran
)

// Program counters of the verifier.
const (
	verWait uint8 = iota
	verOpen
	verRefuseOpen // transition to Verifying, for an image that cannot be opened
	verLook
	verSeen
	verVerify
	verProbe
	verSame
	verRefuse
)

// Program counters of the goroutines that look, and that let the image go.
const (
	doIdle uint8 = iota
	doCall
	doFailed
)

// A thread is somewhere in its program, on the view that it loaded.
type thread struct {
	pc         uint8
	generation uint8
	calls      uint8 // of the host, in this run of the program
}

// before is an order of threads, whichever.
func (th thread) before(o thread) bool {
	if th.pc != o.pc {
		return th.pc < o.pc
	}
	if th.generation != o.generation {
		return th.generation < o.generation
	}
	return th.calls < o.calls
}

const operations = 2

// A world is everything that the threads share, and where each of them is.
type world struct {
	state      State
	generation uint8
	seen       bool // Look was called
	doubt      bool // Doubt was called
	leave      uint8
	verified   bool // the verification that is under way has succeeded
	ops        [operations]thread
	ver        thread
	looks      thread
	leaves     thread
}

// An explorer walks the worlds.
type explorer struct {
	t        *testing.T
	lastGen  uint8
	ops      int
	index    map[world]int32
	worlds   []world
	parents  []int32
	moves    [][2]string
	edges    int
	depth    []int32
	maxDepth int32
	failed   bool
	happened [states][events]int
}

// goes adds what can follow on a world.
func (x *explorer) goes(from int32, who, move string, w world) {
	x.edges++
	// Operations are alike: which of them is where does not matter.
	if a, b := w.ops[0], w.ops[1]; b.before(a) {
		w.ops = [operations]thread{b, a}
	}
	if _, ok := x.index[w]; ok {
		return
	}
	n := int32(len(x.worlds))
	x.index[w] = n
	x.worlds = append(x.worlds, w)
	x.parents = append(x.parents, from)
	x.moves = append(x.moves, [2]string{who, move})
	d := x.depth[from] + 1
	x.depth = append(x.depth, d)
	x.maxDepth = max(x.maxDepth, d)
	x.check(n, w)
}

// fail reports a world, and how it came to be.
func (x *explorer) fail(n int32, format string, args ...any) {
	if x.failed {
		return
	}
	x.failed = true
	var path []string
	for i := n; i > 0; i = x.parents[i] {
		path = append([]string{strings.Join(x.moves[i][:], " ")}, path...)
	}
	x.t.Errorf("%s\nafter: %s", fmt.Sprintf(format, args...), strings.Join(path, "; "))
}

// check holds for every world.
func (x *explorer) check(n int32, w world) {
	if busy := w.ver.pc >= verVerify; busy != (w.state == Verifying) && w.state != Closed {
		x.fail(n, "state %v with the verifier at %d", w.state, w.ver.pc)
	}
	for _, th := range w.ops {
		if th.calls > 2 {
			x.fail(n, "an operation made %d calls of the host", th.calls)
		}
		if th.pc != opIdle && th.generation == 0 {
			x.fail(n, "an operation that began while the medium was not there goes on")
		}
	}
	if w.looks.calls > 1 || w.leaves.calls > 1 {
		x.fail(n, "a look made more than one call of the host")
	}
}

// tell has the real state machine take news. It returns the world after it, and whether it changed.
func (x *explorer) tell(from int32, w world, n news) (world, bool) {
	x.happened[w.state][n.event]++
	v := &view{Status: Status{State: w.state, Generation: uint64(w.generation)}, left: make(chan struct{})}
	next, err := v.after(n, time.Time{})
	if err != nil {
		x.fail(from, "%v", err)
	}
	if next == nil {
		return w, false
	}
	was := w.state
	w.state, w.generation = next.State, uint8(next.Generation)
	switch {
	case was == Present && n.event != evClose && n.generation != v.Generation:
		x.fail(from, "%v of generation %d ended generation %d", n.event, n.generation, v.Generation)
	case was == Closed:
		x.fail(from, "Closed was left by %v", n.event)
	case was == Gone && w.state != Closed && (w.state != Verifying || n.event != evSeen):
		x.fail(from, "Gone was left by %v", n.event)
	case was == Verifying && w.state == Present && !w.verified:
		x.fail(from, "Verifying was left by %v without a verification that succeeded", n.event)
	case (w.state == Present) != (uint64(w.generation) == v.Generation+1):
		x.fail(from, "generation %d follows on %d in %v", w.generation, v.Generation, w.state)
	case (next.err == nil) != (w.state == Present):
		x.fail(from, "calls return %v in %v", next.err, w.state)
	}
	return w, true
}

// answersTo are what a call on the image of a generation can end with.
func answersTo(w world, generation uint8) []answer {
	if w.state != Present || w.generation != generation {
		return anyAnswer[:]
	}
	return anyAnswer[:ansClosed]
}

// expand adds all that can happen next in a world.
func (x *explorer) expand(n int32) {
	w := x.worlds[n]
	for i := range w.ops {
		x.operation(n, w, i)
	}
	x.verifier(n, w)
	x.looker(n, w)
	x.leaver(n, w)
	x.outside(n, w)
}

// operation is ReadAt, WriteAt, Sync and their like: see ops.go.
func (x *explorer) operation(n int32, w world, i int) {
	th := w.ops[i]
	put := func(move string, w world, th thread) {
		if th.pc == opIdle {
			th = thread{}
		}
		w.ops[i] = th
		x.goes(n, "operation", move, w)
	}
	switch th.pc {
	case opIdle:
		if w.state == Present { // else it ends at once, and nothing has changed
			put("begins", w, thread{pc: opCall, generation: w.generation})
		}
	case opCall:
		th.calls++
		for _, a := range answersTo(w, th.generation) {
			th := th
			th.pc = [answers]uint8{opIdle, opIdle, opProbe, opFailed, opOverran, opIdle}[a]
			put(a.String(), w, th)
			if a == ansHarmless || a == ansDoubtful { // of a Sync no failure is, and it asks no probe
				th.pc = opFailed
				put(a.String(), w, th)
			}
		}
	case opProbe:
		th.calls++
		for _, a := range answersTo(w, th.generation) {
			th := th
			th.pc = [answers]uint8{opIdle, opIdle, opFailed, opFailed, opOverran, opIdle}[a]
			put(a.String(), w, th)
		}
	case opFailed, opOverran:
		e := evFailed
		if th.pc == opOverran {
			e = evDeadline
		}
		w, _ := x.tell(n, w, news{event: e, generation: uint64(th.generation)})
		put(e.String(), w, thread{})
	}
}

// verifier is Medium.returns: see verify.go.
func (x *explorer) verifier(n int32, w world) {
	put := func(move string, w world, pc uint8) {
		if pc == verWait {
			w.ver, w.verified = thread{}, false
		} else {
			w.ver.pc = pc
		}
		x.goes(n, "verifier", move, w)
	}
	switch w.ver.pc {
	case verWait:
		if w.state != Gone {
			return
		}
		put("timer", w, verOpen)
		if w.seen {
			w.seen = false
			put("event", w, verOpen)
		}
	case verOpen:
		put("opens", w, verLook)
		put("finds nothing", w, verWait) // absent, or it hangs
		put("may not open", w, verRefuseOpen)
	case verRefuseOpen, verSeen:
		to := verVerify
		if w.ver.pc == verRefuseOpen {
			to = verRefuse
		}
		if next, ok := x.tell(n, w, news{event: evSeen}); ok {
			put("seen", next, to)
		} else {
			put("too late", w, verWait)
		}
	case verLook:
		put("probes", w, verSeen)
		put("finds it dead", w, verWait)
	case verVerify:
		put("verifies", w, verProbe)
		put("does not verify", w, verRefuse)
	case verProbe:
		put("finds it dead in the end", w, verRefuse)
		if w.generation < x.lastGen {
			w.verified = true
			put("succeeds", w, verSame)
		}
	case verSame:
		if next, ok := x.tell(n, w, news{event: evSame}); ok {
			put("same", next, verWait)
		} else {
			put("same, too late", w, verRefuse)
		}
	case verRefuse:
		w, _ := x.tell(n, w, news{event: evRefused})
		put("refused", w, verWait)
	}
}

// looker is Medium.doubts: see look.go.
func (x *explorer) looker(n int32, w world) {
	th := w.looks
	put := func(move string, w world, th thread) {
		w.looks = th
		x.goes(n, "looker", move, w)
	}
	switch th.pc {
	case doIdle:
		if !w.doubt {
			return
		}
		w.doubt = false
		if w.state == Present {
			put("begins", w, thread{pc: doCall, generation: w.generation})
		} else {
			put("nothing to look at", w, thread{})
		}
	case doCall:
		th.calls++
		for _, a := range answersTo(w, th.generation) {
			th := th
			if th.pc = [answers]uint8{doIdle, doIdle, doFailed, doFailed, doFailed, doIdle}[a]; th.pc == doIdle {
				th = thread{}
			}
			put(a.String(), w, th)
		}
		// The host takes writes again, and the image has to be reopened for them.
		w, _ := x.tell(n, w, news{event: evRemoved, generation: uint64(th.generation)})
		w.seen = true
		put("reopens", w, thread{})
	case doFailed:
		for _, e := range []event{evFailed, evDeadline} {
			w, _ := x.tell(n, w, news{event: e, generation: uint64(th.generation)})
			put(e.String(), w, thread{})
		}
	}
}

// leaver is Medium.leaves: see look.go. Its Sync can fail as that of an operation.
func (x *explorer) leaver(n int32, w world) {
	th := w.leaves
	put := func(move string, w world, th thread) {
		w.leaves = th
		x.goes(n, "leaver", move, w)
	}
	switch th.pc {
	case doIdle:
		if w.leave == 0 {
			return
		}
		g := w.leave
		w.leave = 0
		if w.state == Present && w.generation == g {
			put("begins", w, thread{pc: doCall, generation: g})
		} else {
			put("late", w, thread{})
		}
	case doCall:
		th.calls++
		th.pc = doFailed
		put("syncs", w, th)
		w, _ := x.tell(n, w, news{event: evFailed, generation: uint64(th.generation)})
		put("sync fails", w, th)
	case doFailed:
		w, _ := x.tell(n, w, news{event: evRemoved, generation: uint64(th.generation)})
		put("leaves", w, thread{})
	}
}

// outside is what detectors, timers and the user do at any time.
func (x *explorer) outside(n int32, w world) {
	for g := uint8(0); g <= w.generation; g++ {
		next, _ := x.tell(n, w, news{event: evRemoved, generation: uint64(g)})
		x.goes(n, "removed", generations[g], next)
		if g > 0 {
			next := w
			next.leave = g
			x.goes(n, "unmounted", generations[g], next)
		}
	}
	next := w
	next.seen = true
	x.goes(n, "maybe back", "", next)
	next = w
	next.doubt = true
	x.goes(n, "suspect", "", next)
	next, _ = x.tell(n, w, news{event: evClose})
	x.goes(n, "close", "", next)
}

// recovers has the host answer well from a world on, and everybody finish: it must lead to Present, or
// stay Closed, in a bounded number of steps.
func (x *explorer) recovers(n int32) {
	w := x.worlds[n]
	for range 12 {
		if w.state == Present || w.state == Closed {
			return
		}
		switch w.ver.pc {
		case verWait, verRefuseOpen:
			if w.ver.pc == verRefuseOpen {
				w, _ = x.tell(n, w, news{event: evSeen})
				w.ver.pc = verRefuse
				continue
			}
			w.ver.pc = verOpen
		case verOpen:
			w.ver.pc = verLook
		case verLook:
			w.ver.pc = verSeen
		case verSeen:
			w, _ = x.tell(n, w, news{event: evSeen})
			w.ver.pc = verVerify
		case verVerify:
			w.ver.pc = verProbe
		case verProbe:
			w.verified, w.ver.pc = true, verSame
		case verSame:
			w, _ = x.tell(n, w, news{event: evSame})
		case verRefuse:
			w, _ = x.tell(n, w, news{event: evRefused})
			w.ver.pc = verWait
		}
	}
	x.fail(n, "a medium that is there again stays %v", w.state)
}

// TestExplore walks all worlds of two concurrent operations and three generations, which are 3 118 640, up
// to 37 steps deep; with -short, of two generations, which are 504 420.
func TestExplore(t *testing.T) {
	x := &explorer{t: t, lastGen: 3, index: make(map[world]int32)}
	if testing.Short() {
		x.lastGen = 2
	}
	first := world{state: Present, generation: 1}
	x.index[first] = 0
	x.worlds, x.parents, x.moves, x.depth = []world{first}, []int32{0}, make([][2]string, 1), []int32{0}
	for n := int32(0); int(n) < len(x.worlds) && !x.failed; n++ {
		x.expand(n)
		x.recovers(n)
	}
	t.Logf("%d worlds, %d steps between them, the farthest %d steps from the start", len(x.worlds), x.edges, x.maxDepth)
	// The walk was worth something only if it came to every pair that is in the table.
	for s := range states {
		for e := range events {
			_, legal := next[s][event(e)]
			if legal = legal || late[s][event(e)]; legal != (x.happened[s][e] > 0) {
				t.Errorf("%v in %v: in the table %v, happened %d times", event(e), State(s), legal, x.happened[s][e])
			}
		}
	}
}
