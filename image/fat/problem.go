package fat

// ProblemKind says what is wrong with a volume, in words.
type ProblemKind string

// What a cut of power may leave of a volume that was written in the order of docs/order-of-writes.md.
const (
	Leaked      ProblemKind = "clusters that no file uses"
	LongChain   ProblemKind = "more clusters than the size needs"
	DoubleName  ProblemKind = "one file under two names"
	OrphanSlots ProblemKind = "parts of a long name without their entry"
	CopyBehind  ProblemKind = "another FAT differs from the first"
	SpareName   ProblemKind = "name that an exchange made up for a moment"
	OldParent   ProblemKind = "\"..\" names the place where its directory was"
)

// Damage.
const (
	CrossLink   ProblemKind = "shares clusters with another file"
	ChainLoop   ProblemKind = "chain that loops"
	FreeInChain ProblemKind = "chain goes on at a free cluster"
	BadInChain  ProblemKind = "chain goes on at a bad cluster"
	OutOfRange  ProblemKind = "chain goes on outside of the volume"
	ShortChain  ProblemKind = "fewer clusters than the size needs"
	DirSize     ProblemKind = "directory with a size"
	LongDir     ProblemKind = "directory of more than 2 MiB"
	NotDir      ProblemKind = "directory that holds no entries, but data"
	BadDots     ProblemKind = "directory without its \".\" and \"..\""
	BadName     ProblemKind = "name that cannot be"
	SameName    ProblemKind = "name that is in the directory twice"
	BadLong     ProblemKind = "part of a long name with a cluster"
	LongType    ProblemKind = "part of a long name of an unknown type"
	AfterEnd    ProblemKind = "entries behind the end of the directory"
	BadLabel    ProblemKind = "volume label where none belongs"
	LabelBytes  ProblemKind = "volume label that cannot be"
	OtherLabel  ProblemKind = "volume label in the boot sector is another one"
	BadBoot     ProblemKind = "boot sector with fields that cannot be"
	BadFAT      ProblemKind = "the beginning of the first FAT is not one"
	NotMirrored ProblemKind = "the FATs are not kept alike, and differ"
	BadReserved ProblemKind = "reserved entries of the FAT"
	BadInfo     ProblemKind = "FSInfo sector"
	BadBackup   ProblemKind = "backup of the boot sector differs"
	NotClean    ProblemKind = "volume was not unmounted properly"
)

// Leftover reports whether a cut of power may leave it: it costs space at most, and a mount repairs it.
func (k ProblemKind) Leftover() bool {
	switch k {
	case Leaked, LongChain, DoubleName, OrphanSlots, CopyBehind, SpareName, OldParent, NotClean:
		return true
	}
	return false
}
