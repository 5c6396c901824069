//go:build !linux

package automount

import "os"

type plainRoot struct{ *os.Root }

func openRoot(dir string) (rootDir, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return plainRoot{root}, nil
}

func (r plainRoot) Open(name string) (*os.File, error) { return openPlain(r.Root, name) }
