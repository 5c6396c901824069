//go:build !linux

package watch

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/fsnotify/fsnotify"
)

// present watches the image and its directory until the place changes.
func (Files) present(ctx context.Context, s *Scene, p Place, changed <-chan struct{}) error {
	w, err := askFor(ctx, s, "watch the image", func() (*fsnotify.Watcher, error) { return watchImage(p.path()) })
	if err != nil {
		return err
	}
	defer w.Close()
	s.Blind("")
	s.Report(Report{Signal: Suspect}) // what happened before it was watched
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
			return nil
		case e := <-w.Events:
			if e.Op == fsnotify.Write || e.Name != p.path() {
				continue
			}
			s.Report(Report{Signal: Suspect})
			if e.Has(fsnotify.Create) {
				s.Report(Report{Signal: MaybeBack})
			}
		case <-w.Errors:
			s.Report(Report{Signal: Suspect})
		}
	}
}

func watchImage(path string) (*fsnotify.Watcher, error) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	if err := errors.Join(w.Add(filepath.Dir(path)), w.Add(path)); err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}
