package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"

	"fatvol/image"
	"fatvol/image/replay"
)

// volumes are the volumes that one command works on. Each image is opened and locked once, however many of
// its volumes, and however often each of them, the command names: for writing if it writes to any.
type volumes struct {
	cfg    *config
	images []*usedImage
}

// A usedImage is an image that a command names.
type usedImage struct {
	path    string
	file    os.FileInfo // nil if there is nothing
	write   bool
	image   *image.Image          // once it is open
	offsets map[int64]volumeTree  // open volumes by where they begin
	parts   map[string]volumeTree // the same by how they were named
	mounted bool
}

// plan says that the command will use a place, before the first one is opened.
func (v *volumes) plan(p place, write bool) {
	if p.image != "" {
		im := v.find(p.image)
		im.write = im.write || write
	}
}

func (v *volumes) find(path string) *usedImage {
	file, err := os.Stat(path)
	for _, im := range v.images {
		if im.path == path || err == nil && im.file != nil && os.SameFile(im.file, file) {
			return im
		}
	}
	im := &usedImage{path: path, file: file, offsets: map[int64]volumeTree{}, parts: map[string]volumeTree{}}
	v.images = append(v.images, im)
	return im
}

// isImage reports whether a place of the host is one of the images themselves.
func (v *volumes) isImage(l location) bool {
	t, ok := l.tree.(hostTree)
	if !ok {
		return false
	}
	file, err := os.Stat(t.path(l.name))
	return err == nil && file.Mode().IsRegular() && slices.ContainsFunc(v.images, func(im *usedImage) bool {
		return im.file != nil && os.SameFile(im.file, file)
	})
}

// at is the location that a place means.
func (v *volumes) at(p place) (location, error) {
	if p.image == "" {
		return location{tree: hostTree{}, name: p.path}, nil
	}
	im := v.find(p.image)
	t := im.parts[p.part]
	if t == nil {
		var err error
		if t, err = im.open(p.part, v.cfg); err != nil {
			return location{}, fmt.Errorf("%s: %w", p.image, imageError(p.image, err))
		}
		im.parts[p.part] = t
	}
	prefix := p.image + ":"
	if p.part != "" {
		prefix += p.part + ":"
	}
	return location{t, p.path, prefix}, nil
}

// open opens a volume of the image: through the mount where there is one.
func (im *usedImage) open(part string, cfg *config) (volumeTree, error) {
	opt := cfg.image
	opt.ReadOnly, opt.NoFallback = !im.write, im.write
	if part != "" {
		opt.Partition, opt.Offset, opt.SizeLimit, opt.NoTable = part, 0, 0, false
	}
	if im.image == nil {
		t, err := mountedTree(im.path, opt)
		if t != nil || err != nil {
			im.mounted = true
			return t, err
		}
	}
	vol, err := im.locate(opt)
	if err != nil {
		return nil, err
	}
	if t := im.offsets[vol.Partition.Start]; t != nil {
		return t, nil
	}
	if err := im.unsaved(vol.Partition); err != nil {
		return nil, err
	}
	engine := cfg.fat
	engine.ReadOnly = opt.ReadOnly
	engine.Log = slog.New(toldHandler{w: os.Stderr, about: im.path})
	f, err := image.NewFS(vol.Device(), engine)
	if err != nil {
		return nil, err
	}
	im.offsets[vol.Partition.Start] = imageTree{f}
	return imageTree{f}, nil
}

// locate finds a volume of the image, which is opened if it is not.
func (im *usedImage) locate(opt image.OpenOptions) (*image.Volume, error) {
	if im.image != nil {
		return im.image.Another(opt)
	}
	opened, err := image.OpenVolume(im.path, opt)
	if err != nil {
		return nil, err
	}
	for _, note := range opened.Notes() {
		complain("%s: WARNING: %s", im.path, note)
	}
	im.image = opened
	return opened.Volume, nil
}

// unsaved looks for changes that a mount could not write, or not yet: what is written before them makes them useless.
func (im *usedImage) unsaved(part image.Partition) error {
	serial := uint32(0)
	if part.Content.Geometry != nil {
		serial = part.Content.Geometry.Serial
	}
	abs, err := absolutePath(im.path)
	if err != nil {
		return err
	}
	if st := waitingMount(serial, part.Start, abs); st != nil {
		if err := im.before(fmt.Errorf("%w: unmount that first ('fatvol umount %s')", heldBy(st), st.Dir)); err != nil {
			return err
		}
	}
	paths, _ := savedReplays(serial) // those of others are theirs
	for _, path := range paths {
		info, err := replay.LoadInfo(path)
		if err != nil || info.Offset != part.Start {
			continue
		}
		apply := path
		if info.Image != abs {
			if serial == 0 || !im.takes(path) {
				continue // a copy, which has nothing to do with them
			}
			apply = fmt.Sprintf("--image %s %s", im.path, path)
		}
		err = im.before(fmt.Errorf("changes that could not be written when it was unmounted are kept in %s: 'fatvol replay apply %s' writes them, 'fatvol replay discard %s' forgets them", path, apply, path))
		if err != nil {
			return err
		}
	}
	return nil
}

// before has what would better be done first refuse a command that writes, and warn another.
func (im *usedImage) before(what error) error {
	if im.write {
		return what
	}
	complain("%s: WARNING: %v", im.path, what)
	return nil
}

// takes reports whether the image is as it was when a replay file was made.
func (im *usedImage) takes(path string) bool {
	saved, err := replay.Load(path)
	return err == nil && saved.Verify(im.image.Host()) == nil
}

// close brings everything to the media, and lets go of the images.
func (v *volumes) close() error {
	var all []error
	for _, im := range v.images {
		if err := im.close(); err != nil {
			all = append(all, fmt.Errorf("%s: not everything is on the medium: %w", im.path, withoutPath(im.path, err)))
		}
	}
	return errors.Join(all...)
}

func (im *usedImage) close() error {
	var all []error
	for _, t := range im.offsets {
		all = append(all, t.(imageTree).Close())
	}
	if im.mounted && im.write {
		for _, t := range im.parts {
			all = append(all, t.Sync())
		}
	}
	if im.image != nil {
		all = append(all, im.image.Close())
	}
	return errors.Join(all...)
}
