package image

import (
	"errors"
	"io"
	iofs "io/fs"
	"os"

	"fatvol/image/fat"
)

// Read reads from the offset on. It implements fs.File.
func (file *File) Read(p []byte) (int, error) {
	file.mu.Lock()
	defer file.mu.Unlock()
	n, err := file.readLocked("read", p, file.off)
	file.off += int64(n)
	return n, err
}

// ReadAt reads from a given offset on, in bytes. It implements io.ReaderAt.
func (file *File) ReadAt(p []byte, off int64) (int, error) {
	if err := file.usable("read"); err != nil {
		return 0, err
	}
	n, err := file.read("read", p, off)
	if err == nil && n < len(p) {
		err = io.EOF
	}
	return n, err
}

func (file *File) readLocked(op string, p []byte, off int64) (int, error) {
	if err := file.usableLocked(op); err != nil {
		return 0, err
	}
	n, err := file.read(op, p, off)
	if err == nil && n == 0 && len(p) > 0 {
		err = io.EOF
	}
	return n, err
}

func (file *File) read(op string, p []byte, off int64) (int, error) {
	switch {
	case file.h == nil:
		return 0, pathError(op, file.name, fat.ErrIsDir)
	case file.flag&os.O_WRONLY != 0:
		return 0, pathError(op, file.name, iofs.ErrPermission)
	}
	n, err := file.h.ReadAt(p, off)
	return n, wrapPath(op, file.name, err)
}

// WriteTo copies the file from the offset on to w. It implements io.WriterTo.
func (file *File) WriteTo(w io.Writer) (total int64, err error) {
	file.mu.Lock()
	defer file.mu.Unlock()
	buf := make([]byte, copyBuffer)
	for {
		n, err := file.readLocked("read", buf, file.off)
		if n > 0 {
			m, writeErr := w.Write(buf[:n])
			file.off += int64(m)
			total += int64(m)
			if writeErr != nil {
				return total, writeErr
			}
		}
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}

// Write writes at the offset, or with O_APPEND at the end. It implements io.Writer. What does not fit into
// the volume is an error, with the count of what did.
func (file *File) Write(p []byte) (int, error) {
	file.mu.Lock()
	defer file.mu.Unlock()
	return file.writeLocked(p)
}

func (file *File) writeLocked(p []byte) (int, error) {
	if err := file.usableLocked("write"); err != nil {
		return 0, err
	}
	if file.flag&os.O_APPEND == 0 {
		n, err := file.write(p, file.off)
		file.off += int64(n)
		return n, err
	}
	if err := file.mayWrite(); err != nil {
		return 0, err
	}
	var done int
	for done < len(p) {
		n, at, err := file.h.Append(p[done:])
		done += n
		if err != nil {
			return done, pathError("write", file.name, err)
		}
		file.off = at + int64(n)
	}
	return done, nil
}

// WriteAt writes at a given offset, in bytes. It implements io.WriterAt, and is an error with O_APPEND.
func (file *File) WriteAt(p []byte, off int64) (int, error) {
	if err := file.usable("write"); err != nil {
		return 0, err
	}
	if file.flag&os.O_APPEND != 0 {
		return 0, pathError("write", file.name, errors.New("WriteAt of a file opened with O_APPEND"))
	}
	return file.write(p, off)
}

func (file *File) write(p []byte, off int64) (done int, err error) {
	if err := file.mayWrite(); err != nil {
		return 0, err
	}
	for done < len(p) {
		n, err := file.h.WriteAt(p[done:], off+int64(done))
		done += n
		if err != nil {
			return done, pathError("write", file.name, err)
		}
	}
	return done, nil
}

func (file *File) mayWrite() error {
	switch {
	case file.h == nil:
		return pathError("write", file.name, fat.ErrIsDir)
	case !file.writes():
		return pathError("write", file.name, iofs.ErrPermission)
	}
	return nil
}

// ReadFrom writes what r has until its end. It implements io.ReaderFrom.
func (file *File) ReadFrom(r io.Reader) (total int64, err error) {
	file.mu.Lock()
	defer file.mu.Unlock()
	buf := make([]byte, copyBuffer)
	for {
		// Whole pieces, so that a reader of small ones costs no call of the volume for each.
		n, readErr := io.ReadFull(r, buf)
		done, err := file.writeLocked(buf[:n])
		total += int64(done)
		switch {
		case err != nil:
			return total, err
		case readErr == io.EOF, readErr == io.ErrUnexpectedEOF:
			return total, nil
		case readErr != nil:
			return total, readErr
		}
	}
}

// Seek sets the offset. It implements io.Seeker; of a directory only the beginning can be sought.
func (file *File) Seek(offset int64, whence int) (int64, error) {
	file.mu.Lock()
	defer file.mu.Unlock()
	if err := file.usableLocked("seek"); err != nil {
		return 0, err
	}
	if file.h == nil {
		if offset != 0 || whence != io.SeekStart {
			return 0, pathError("seek", file.name, fat.ErrIsDir)
		}
		file.cookie = 0
		return 0, nil
	}
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		offset += file.off
	case io.SeekEnd:
		a, err := file.n.Attr()
		if err != nil {
			return 0, pathError("seek", file.name, err)
		}
		offset += a.Size
	default:
		return 0, pathError("seek", file.name, iofs.ErrInvalid)
	}
	if offset < 0 {
		return 0, pathError("seek", file.name, iofs.ErrInvalid)
	}
	file.off = offset
	return offset, nil
}

// Truncate sets the size in bytes; a file grows with zeros.
func (file *File) Truncate(size int64) error {
	if err := file.usable("truncate"); err != nil {
		return err
	}
	if err := file.mayWrite(); err != nil {
		return err
	}
	return wrapPath("truncate", file.name, file.n.Truncate(size))
}
