package fattest

import (
	"io"
	"os"
)

// CheckFile is Check of the volume that fills the file at path.
func CheckFile(path string) (*Report, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return Check(io.NewSectionReader(f, 0, info.Size()))
}
