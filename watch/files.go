package watch

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Files watches the image and its directory while the medium is there, and while it is not, the nearest
// directory on the way to it that exists. It sees deletion, renaming and re-creation. It is blind to a
// pull, to what other machines do on a network host, and to mounts. fsnotify does not pass on that a
// watch ended because its file system was unmounted: so watches are renewed now and then.
type Files struct{}

// Name implements Detector.
func (Files) Name() string { return "fsnotify" }

// Watch implements Detector.
func (f Files) Watch(ctx context.Context, s *Scene) error {
	for ctx.Err() == nil {
		p, changed := s.Place()
		watch := f.present
		if p.Generation == 0 {
			watch = f.gone
		}
		if err := watch(ctx, s, p, changed); err != nil {
			s.Blind(err.Error())
			select {
			case <-ctx.Done():
			case <-changed:
			}
		}
	}
	return nil
}

// path is where the image is, as far as is known.
func (p *Place) path() string {
	if p.Path != "" {
		return p.Path
	}
	return p.Asked
}

// renewal is how often the watches for a return are looked after.
const renewal = 5 * time.Second

// gone watches for something to appear on the way to the image.
func (Files) gone(ctx context.Context, s *Scene, p Place, changed <-chan struct{}) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return err
	}
	hung := false
	defer func() {
		if hung {
			go w.Close() // waits for the call that adds a watch
			return
		}
		w.Close()
	}()
	paths := slices.Compact([]string{p.path(), p.Asked})
	tick := time.NewTicker(renewal)
	defer tick.Stop()
	for {
		err := s.Ask(ctx, "watch for the image", func() error { return watchAncestors(w, paths) })
		if hung = s.hung != nil; hung || err != nil {
			return errors.Join(err, ctx.Err())
		}
		s.Blind("")
		for renew := false; !renew; {
			select {
			case <-ctx.Done():
				return nil
			case <-changed:
				return nil
			case e := <-w.Events:
				if slices.ContainsFunc(paths, func(path string) bool { return isAbove(e.Name, path) }) {
					s.Report(Report{Signal: MaybeBack})
					renew = true
				}
			case <-w.Errors:
				s.Report(Report{Signal: MaybeBack})
			case <-tick.C:
				renew = true
			}
		}
	}
}

// watchAncestors watches, for each path, the nearest directory above it that exists, and nothing else.
func watchAncestors(w *fsnotify.Watcher, paths []string) error {
	var want []string
	for _, path := range paths {
		dir := filepath.Dir(path)
		for dir != filepath.Dir(dir) {
			if st, err := os.Stat(dir); err == nil && st.IsDir() {
				break
			}
			dir = filepath.Dir(dir)
		}
		want = append(want, dir)
	}
	have := w.WatchList()
	for _, dir := range have {
		if !slices.Contains(want, dir) {
			_ = w.Remove(dir)
		}
	}
	for _, dir := range want {
		// Adding one that is there already renews it if it has come to be another directory.
		if err := w.Add(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}
