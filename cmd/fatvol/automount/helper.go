package automount

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os/exec"
	"sync"
	"time"
)

// Helper is a desktop helper. All fields but Out must be set.
type Helper struct {
	Config    Config
	Directory string // where volumes are mounted, absolute
	System    System
	Source    Source
	Notifier  Notifier
	Log       *slog.Logger
	// Once ends Run when there is nothing to do at the moment, and leaves everything mounted.
	Once bool
	// DryRun changes nothing, and writes to Out what would be done, and why.
	DryRun bool
	Out    io.Writer
	// Ready, if not nil, is called once the media that are there are known.
	Ready func()
}

// lookInterval is how often mounted volumes are asked for their state. Each answers from memory.
const lookInterval = time.Second

// ended is the end of an action.
type ended struct {
	a *action
	r result
}

// running is what Run keeps.
type running struct {
	*Helper
	dir   *directory
	exec  executor
	mem   *memory
	ended chan ended
	// choices are what came of buttons that were pressed.
	choices chan notice
	tells   *herald
	media   []Medium
	known   bool // media is what the source says
	// pending counts actions that have begun and not ended; in a dry run, many never begin.
	pending int
}

// Run follows media until ctx ends, and unmounts everything then. It returns the error of a source that failed.
func (h *Helper) Run(ctx context.Context) error {
	r := &running{Helper: h, dir: &directory{path: h.Directory}, mem: newMemory(), ended: make(chan ended), choices: make(chan notice, maxWaiting)}
	r.exec = executor{&h.Config, h.System, r.dir}
	if !h.DryRun {
		if err := r.dir.prepare(); err != nil {
			return fmt.Errorf("the directory for volumes: %w", err)
		}
	}
	life := context.WithoutCancel(ctx)
	r.tells = newHerald(life, h.Notifier, h.Log)
	err := r.follow(ctx)
	if ctx.Err() != nil && !h.Once && !h.DryRun {
		r.leave(life)
	}
	r.hush()
	return err
}

// hushTime is how long the end waits for notices to be taken.
const hushTime = 2 * time.Second

func (r *running) hush() {
	close(r.tells.queue)
	select {
	case <-r.tells.done:
	case <-time.After(hushTime):
	}
}

func (r *running) follow(ctx context.Context) error {
	sourceCtx, stop := context.WithCancel(ctx)
	defer stop()
	media := make(chan []Medium, 1)
	failed := make(chan error, 1)
	go func() { failed <- r.Source.Follow(sourceCtx, func(list []Medium) { replace(media, list) }) }()
	timer := time.NewTimer(lookInterval)
	defer timer.Stop()
	for {
		select {
		case list := <-media:
			if !r.known && r.Ready != nil {
				r.Ready()
			}
			r.media, r.known = list, true
		case e := <-r.ended:
			r.finished(e)
		case c := <-r.Notifier.Chosen():
			r.choose(c)
		case n := <-r.choices:
			r.tell(n)
		case <-timer.C:
		case err := <-failed:
			if ctx.Err() != nil {
				return nil
			}
			return err
		case <-ctx.Done():
			return nil
		}
		if !r.known {
			continue
		}
		more, err := r.step(ctx)
		if err != nil {
			r.Log.Error("cannot look at what is mounted", "err", err)
		}
		if r.Once && !more && r.pending == 0 {
			return err
		}
		timer.Reset(lookInterval)
		if !more && len(r.mem.mounts) == 0 && r.pending == 0 && !r.waiting() {
			timer.Stop() // the source wakes us
		}
	}
}

// replace puts the newest value into a channel of one.
func replace[T any](c chan T, v T) {
	for {
		select {
		case c <- v:
			return
		default:
		}
		select {
		case <-c:
		default:
		}
	}
}

// waiting reports whether something will be done at a certain time.
func (r *running) waiting() bool {
	for _, m := range r.mem.media {
		if m.leaving && !m.done && !m.freed.IsZero() {
			return true
		}
	}
	return false
}

// step looks, plans, and begins what is planned, until nothing is. It reports whether it began anything.
func (r *running) step(ctx context.Context) (began bool, err error) {
	for {
		w, err := r.look()
		if err != nil {
			return began, err
		}
		for _, m := range r.mem.forget(w) {
			r.tell(safeNotice(&m))
		}
		actions := plan(&r.Config, r.dir.path, w, r.mem)
		if len(actions) == 0 {
			return began, nil
		}
		began = true
		for i := range actions {
			r.begin(ctx, &actions[i])
		}
		select {
		case e := <-r.ended: // nobody else takes it meanwhile
			r.finished(e)
		default:
		}
	}
}

// look gathers the world.
func (r *running) look() (*world, error) {
	w := &world{now: time.Now(), media: r.media}
	var err error
	if w.mounts, err = r.System.Mounts(r.dir.path); err != nil {
		return nil, err
	}
	mounted := map[string]bool{}
	for _, m := range w.mounts {
		mounted[m.Dir] = true
	}
	w.idle, err = r.dir.idle(func(p string) bool { return mounted[p] || r.mem.underway[p] })
	return w, err
}

func (r *running) begin(ctx context.Context, a *action) {
	r.mem.begin(a, time.Now())
	if r.DryRun {
		fmt.Fprintf(r.Out, "would %v\n", a)
	} else if a.do != doTell {
		r.Log.Info(a.phrase(), "why", a.why)
	}
	switch {
	case a.do == doTell && !r.DryRun:
		r.tell(a.notice)
		r.mem.end(a, &result{}, time.Now())
	case a.do == doSkip, a.do == doRefuse, a.do == doAdopt, a.do == doHeed, a.do == doTell:
		r.mem.end(a, &result{}, time.Now())
	case a.do != doSearch && r.DryRun:
		// It stays under way, so that it is not planned again.
	default:
		// What is begun is brought to its end, whatever the helper is told meanwhile; a search need not be.
		if a.do != doSearch {
			ctx = context.WithoutCancel(ctx)
		}
		r.pending++
		go func() { r.ended <- ended{a, r.exec.do(ctx, a)} }()
	}
}

// finished notes how an action came out, and tells the user what that means.
func (r *running) finished(e ended) {
	a := e.a
	r.pending--
	r.mem.end(a, &e.r, time.Now())
	if e.r.err != nil {
		r.Log.Warn(a.phrase()+" failed", "err", e.r.err)
	}
	switch a.do {
	case doSearch:
		r.searched(a, e.r.search)
	case doMount:
		if e.r.err != nil {
			r.tell(failedNotice(a.image, a.medium.Name, e.r.err))
		} else {
			r.tell(mountedNotice(a.dir, a.image, a.medium.Name, e.r.said, a.several))
		}
	case doUnmount, doDetach:
		switch {
		case e.r.still && a.cause == causeAsked:
			r.tell(busyNotice(&a.medium, e.r.said))
		case e.r.still:
			r.Log.Info("still mounted", "dir", a.dir, "said", e.r.said)
		case a.cause == causeAsked && e.r.said == "", a.cause == causeUnused && e.r.said == "", a.mount.State == Dead:
		default:
			r.tell(endedNotice(&a.mount, e.r.said))
		}
	case doFinish:
		if e.r.err != nil {
			r.tell(busyNotice(&a.medium, e.r.err.Error()))
		}
	}
}

func (r *running) searched(a *action, s *Search) {
	if s == nil {
		return
	}
	for _, note := range s.Notes {
		if r.DryRun {
			fmt.Fprintf(r.Out, "%s: %s\n", a.medium.Dir, note)
		} else {
			r.Log.Info(note, "medium", a.medium.Dir)
		}
	}
	if r.DryRun && len(s.Files) == 0 {
		fmt.Fprintf(r.Out, "%s: %d names, none of them that of an image (patterns)\n", a.medium.Dir, s.Seen)
	}
}

func (r *running) tell(n notice) {
	r.Log.Info("notice", "summary", n.summary, "body", n.body)
	r.tells.tell(n)
}

// choose does what the user has chosen in a notice.
func (r *running) choose(c choice) {
	switch c.key {
	case keyOpen:
		// The desktop knows with what.
		cmd := exec.Command("xdg-open", c.about)
		if err := cmd.Start(); err != nil {
			r.Log.Warn("cannot open", "dir", c.about, "err", err)
			return
		}
		go func() { _ = cmd.Wait() }() // it has its own way to complain
	case keyEject:
		m := Medium{Dir: c.about, Name: "The medium"}
		if mm := r.mem.mounts[c.about]; mm != nil && mm.medium != "" {
			m.Name = mm.medium
		}
		r.Log.Info("eject "+m.Name, "why", "the user has chosen so")
		go func() {
			if err := r.System.Eject(context.Background(), c.about); err != nil {
				r.choices <- busyNotice(&m, err.Error())
			} else {
				r.choices <- safeNotice(&m)
			}
		}()
	}
}

// leaveTime bounds the wait for actions that are under way at the end.
const leaveTime = 30 * time.Second

// leave unmounts everything.
func (r *running) leave(ctx context.Context) {
	late := time.After(leaveTime)
	for r.pending > 0 {
		select {
		case <-r.ended:
			r.pending--
		case <-late:
			r.pending = 0
		}
	}
	mounts, err := r.System.Mounts(r.dir.path)
	if err != nil {
		r.Log.Error("cannot look at what is mounted", "err", err)
	}
	var all sync.WaitGroup
	for _, m := range mounts {
		all.Go(func() {
			a := &action{do: doUnmount, dir: m.Dir, mount: m, why: "the helper ends"}
			res := r.exec.do(ctx, a)
			if res.still {
				a.do = doDetach
				again := r.exec.do(ctx, a)
				again.err, again.said = errors.Join(res.err, again.err), res.said+"; "+again.said
				res = again
			}
			r.Log.Info(a.phrase(), "why", a.why, "said", res.said, "err", res.err)
		})
	}
	all.Wait()
	r.CleanUp()
}

// CleanUp detaches mounts whose serving process has died, and removes mount points without a mount.
func (h *Helper) CleanUp() {
	dir := &directory{path: h.Directory}
	mounts, err := h.System.Mounts(h.Directory)
	if err != nil {
		h.Log.Error("cannot look at what is mounted", "err", err)
		return
	}
	there := map[string]bool{}
	for _, m := range mounts {
		there[m.Dir] = true
		if m.State != Dead {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), unmountTime)
		said, still, err := h.System.Unmount(ctx, m.Dir, true)
		cancel()
		there[m.Dir] = still
		h.Log.Info("detach "+m.Dir, "why", m.Reason, "said", said, "err", err)
	}
	idle, err := dir.idle(func(p string) bool { return there[p] })
	if err != nil {
		h.Log.Error("cannot look at mount points", "err", err)
	}
	e := executor{dir: dir}
	for _, p := range idle {
		a := &action{do: doRemove, dir: p, why: "nothing is mounted on it"}
		h.Log.Info(a.phrase(), "why", a.why, "err", e.do(context.Background(), a).err)
	}
}
