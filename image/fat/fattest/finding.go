package fattest

import (
	"fmt"
	"io"
	"strings"
)

// Class says whether a finding costs anybody anything.
type Class uint8

const (
	// Harmless is what a cut at any instant may leave: space is lost until the next repair, and
	// no file is.
	Harmless Class = iota
	// Damage loses data, or misleads whoever reads the volume.
	Damage
)

func (c Class) String() string {
	if c == Harmless {
		return "harmless"
	}
	return "damage"
}

// Kind names what is wrong.
type Kind string

// Findings that are Harmless.
const (
	Leaked      Kind = "leaked clusters"            // allocated, and no chain reaches them
	LongChain   Kind = "chain longer than the size" // of a file; also an empty file with a chain
	DoubleName  Kind = "one file under two names"   // two entries with the same first cluster
	OrphanSlots Kind = "orphan long-name slots"     // without their short entry
	LagFAT      Kind = "FAT copy behind the first"  // copies of the FAT differ
	StaleInfo   Kind = "FSInfo of a dirty volume"   // counts that are wrong while the dirty flag says so
	StaleBackup Kind = "boot copy behind the first" // the backup boot sector has another dirty flag, label, size or root cluster
	OldParent   Kind = "\"..\" names an old place"  // of a directory that moved: its former first cluster, still allocated
)

// Findings that are Damage.
const (
	BadBoot     Kind = "boot sector"
	BadInfo     Kind = "FSInfo"
	BadReserved Kind = "reserved FAT entries"
	CrossLink   Kind = "cross-linked chains"
	Loop        Kind = "chain that loops"
	FreeInChain Kind = "free cluster in a chain"
	BadInChain  Kind = "bad cluster in a chain"
	OutOfRange  Kind = "chain that leaves the volume"
	ShortChain  Kind = "chain shorter than the size"
	BadDir      Kind = "directory entry of a directory" // no cluster, a size, foreign or missing dots
	DirLoop     Kind = "directory inside itself"
	BadName     Kind = "impossible name"
	BadLong     Kind = "long name that does not hold together"
	Duplicate   Kind = "name twice in a directory"
	AfterEnd    Kind = "entry behind the end of a directory"
	BadLabel    Kind = "volume label"
	BadTime     Kind = "impossible time"
	BadAttr     Kind = "impossible attributes"
)

var classes = map[Kind]Class{
	Leaked: Harmless, LongChain: Harmless, DoubleName: Harmless, OrphanSlots: Harmless,
	LagFAT: Harmless, StaleInfo: Harmless, StaleBackup: Harmless,
	OldParent: Harmless,
}

// Class of a kind: Damage unless it is one of the known leftovers.
func (k Kind) Class() Class {
	if c, ok := classes[k]; ok {
		return c
	}
	return Damage
}

// Finding is one thing that is wrong with a volume.
type Finding struct {
	Kind    Kind
	Path    string // of the entry concerned, "" for the volume
	Cluster uint32 // first cluster concerned, 0 for none
	Detail  string
}

// Class of the finding.
func (f Finding) Class() Class { return f.Kind.Class() }

func (f Finding) String() string {
	s := fmt.Sprintf("%s: %s", f.Kind.Class(), f.Kind)
	if f.Path != "" {
		s += fmt.Sprintf(": %q", f.Path)
	}
	if f.Cluster != 0 {
		s += fmt.Sprintf(": cluster %d", f.Cluster)
	}
	if f.Detail != "" {
		s += ": " + f.Detail
	}
	return s
}

// Report is what Check found.
type Report struct {
	Volume   *Volume
	Findings []Finding
	Files    []*File // in the order of a walk: a directory before what it holds; without the root
	Label    string  // the root directory's label entry
	Free     uint32  // free clusters by the first FAT
	Bad      uint32  // clusters marked bad
	Used     uint32  // clusters in chains
	InfoFree uint32  // FSInfo's count; 0xffffffff when unknown or there is none
	InfoNext uint32
	Dirty    bool // state byte or FAT[1] say that the volume was not unmounted
}

func (r *Report) add(k Kind, path string, cluster uint32, format string, args ...any) {
	r.Findings = append(r.Findings, Finding{k, path, cluster, fmt.Sprintf(format, args...)})
}

// Count is the number of findings of a kind.
func (r *Report) Count(k Kind) int {
	n := 0
	for _, f := range r.Findings {
		if f.Kind == k {
			n++
		}
	}
	return n
}

// Damaged are the findings that are not harmless.
func (r *Report) Damaged() []Finding {
	var d []Finding
	for _, f := range r.Findings {
		if f.Class() == Damage {
			d = append(d, f)
		}
	}
	return d
}

// Err is nil when there is no finding at all.
func (r *Report) Err() error { return findingsError(r.Findings) }

// DamageErr is nil when there are harmless findings at most.
func (r *Report) DamageErr() error { return findingsError(r.Damaged()) }

func findingsError(fs []Finding) error {
	if len(fs) == 0 {
		return nil
	}
	const show = 20
	var b strings.Builder
	fmt.Fprintf(&b, "%d findings", len(fs))
	for i, f := range fs {
		if i == show {
			fmt.Fprintf(&b, "\n  …")
			break
		}
		fmt.Fprintf(&b, "\n  %s", f)
	}
	return fmt.Errorf("%s", b.String())
}

// Find returns the file at a path (as spelled in the listing, without a leading slash), or nil.
func (r *Report) Find(path string) *File {
	for _, f := range r.Files {
		if f.Path == path {
			return f
		}
	}
	return nil
}

// Below is a report of a directory as if it were the root; "" is the root itself. Findings and counts
// are those of the whole volume.
func (r *Report) Below(dir string) *Report {
	if dir == "" {
		return r
	}
	below := *r
	below.Files = nil
	for _, f := range r.Files {
		if path, is := strings.CutPrefix(f.Path, dir+"/"); is {
			g := *f
			g.Path = path
			below.Files = append(below.Files, &g)
		}
	}
	return &below
}

// Extent is a run of clusters.
type Extent struct {
	Start, Count uint32
}

// File is one entry of the tree.
type File struct {
	Path    string // names joined by '/', long names where there are any
	Name    string // as shown: the long name, or the short one with its case bits applied
	Short   string // the plain 8.3 name
	Long    bool   // has a long name
	IsDir   bool
	Attr    byte
	Size    int64 // of a file; 0 for directories
	First   uint32
	Extents []Extent // the chain as far as it holds
	Chain   int64    // clusters of the chain
	Slots   int      // slots of the entry, long name included
	Offset  int64    // of the short slot, in bytes from the volume's start

	CreateDate, CreateTime, AccessDate, ModifyDate, ModifyTime uint16
	CreateCentis                                               byte

	parent *File
	dotdot uint32
	vol    *Volume
}

// ReadAt reads the file's bytes by its chain. It returns io.EOF at the end of the file and
// io.ErrUnexpectedEOF where the chain ends before the size.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	size := f.Size
	if f.IsDir {
		size = f.Chain * int64(f.vol.ClusterSize)
	}
	cs := int64(f.vol.ClusterSize)
	n := 0
	for n < len(p) && off < size {
		base, run := int64(0), Extent{}
		for _, e := range f.Extents {
			if off < base+int64(e.Count)*cs {
				run = e
				break
			}
			base += int64(e.Count) * cs
		}
		if run.Count == 0 {
			return n, io.ErrUnexpectedEOF
		}
		m := min(int64(len(p)-n), base+int64(run.Count)*cs-off, size-off)
		at := f.vol.DataStart + int64(run.Start-2)*cs + off - base
		if _, err := f.vol.r.ReadAt(p[n:n+int(m)], at); err != nil {
			return n, err
		}
		n += int(m)
		off += m
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Contents reads the whole file.
func (f *File) Contents() ([]byte, error) {
	return io.ReadAll(io.NewSectionReader(f, 0, f.Size))
}
