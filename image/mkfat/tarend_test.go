package mkfat

import (
	"archive/tar"
	"bytes"
	"compress/flate"
	"io"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// scanBytes scans an archive from a file and from a stream.
func scanBytes(t *testing.T, data []byte) (ofFile, ofStream error) {
	t.Helper()
	scan := func(r io.Reader) error {
		spool := NewSpool(t.TempDir())
		defer spool.Close()
		_, err := ScanTar(r, spool, ScanOptions{})
		return err
	}
	return scan(archiveFile(t, data)), scan(bytes.NewReader(data))
}

// TestTarEndsBetweenEntries: an archive that ends where an entry could begin has lost what comes behind, whatever
// the entry before is like; one block of zeros is an end.
func TestTarEndsBetweenEntries(t *testing.T) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range []tar.Header{
		{Name: "short", Size: 5}, {Name: "zeros", Size: tarBlock}, {Name: "many zeros", Size: 20 * tarBlock},
		{Name: "empty"}, {Name: "extended", PAXRecords: map[string]string{"FATVOL.x": "y"}}, {Name: "last", Size: 1},
	} {
		h.Typeflag, h.Mode = tar.TypeReg, 0o644
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(make([]byte, h.Size)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	data := append(b.Bytes(), make([]byte, 2*tarBlock)...)
	for cut := 0; cut <= len(data); cut += tarBlock {
		whole := cut > b.Len()
		if ofFile, ofStream := scanBytes(t, data[:cut]); (ofFile == nil) != whole || (ofStream == nil) != whole {
			t.Errorf("cut at %d of %d: file: %v, stream: %v", cut, len(data), ofFile, ofStream)
		}
	}
}

// TestPackedTarIsVerified: contents that changed in a compressed archive are noticed where only its checksum, behind
// the end of the archive, tells.
func TestPackedTarIsVerified(t *testing.T) {
	content := []byte("what is in the file")
	var b bytes.Buffer
	packer, err := gzip.NewWriterLevel(&b, flate.NoCompression)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(packer)
	if err := w.WriteHeader(&tar.Header{Name: "file", Size: int64(len(content)), Mode: 0o644}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(content); err != nil || w.Close() != nil || packer.Close() != nil {
		t.Fatal("no archive")
	}
	data := b.Bytes()
	if ofFile, ofStream := scanBytes(t, data); ofFile != nil || ofStream != nil {
		t.Fatalf("file: %v, stream: %v", ofFile, ofStream)
	}
	data[bytes.Index(data, content)] ^= 0x10
	if ofFile, ofStream := scanBytes(t, data); ofFile == nil || ofStream == nil {
		t.Errorf("changed: file: %v, stream: %v", ofFile, ofStream)
	}
}

// TestPackedTarIsCut: where compressed data end too early, in whatever way the decompressor tells, the scan ends.
func TestPackedTarIsCut(t *testing.T) {
	var b bytes.Buffer
	w, err := zstd.NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(archive(t, tarSample...)); err != nil || w.Close() != nil {
		t.Fatal("no archive")
	}
	for cut := 0; cut < b.Len(); cut += 1 + b.Len()/60 {
		if ofFile, ofStream := scanBytes(t, b.Bytes()[:cut]); ofFile == nil || ofStream == nil {
			t.Fatalf("cut at %d of %d: file: %v, stream: %v", cut, b.Len(), ofFile, ofStream)
		}
	}
}
