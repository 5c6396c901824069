package guestapi

import "time"

// Service is the name under which the guest's methods are registered.
const Service = "Guest"

// PortName is the name of the virtio serial port that carries the calls.
const PortName = "fatvol.guest"

// None is the argument or the result of calls that have none.
type None struct{}

// Command is a program to run in the guest.
type Command struct {
	Args    []string
	Env     []string // added to the guest's own
	Dir     string
	Stdin   []byte
	Timeout time.Duration // 0: a minute
}

// Exit is how a program ended.
type Exit struct {
	Code     int // -1 when a signal ended it
	Stdout   []byte
	Stderr   []byte
	Start    int64 // instants of the call
	End      int64
	TimedOut bool
	// Stuck is set when the program did not even end when it was killed. Its threads' kernel stacks
	// are in Stderr.
	Stuck bool
}

// Line is one line of a log and the instant at which it was read.
type Line struct {
	At   int64
	Text string
}

// ProcessState is what is known of a program in the background.
type ProcessState struct {
	PID    int
	Ended  bool
	Exit   Exit   // valid when Ended; without the output
	Output []Line // both streams so far
}

// WaitArgs ask for the end of a program in the background.
type WaitArgs struct {
	PID     int
	Timeout time.Duration
}

// SignalArgs send a signal to any process of the guest.
type SignalArgs struct{ PID, Signal int }

// FileChunk is a part of a file. A chunk is at most ChunkSize bytes.
type FileChunk struct {
	Path   string
	Offset int64
	Data   []byte
	Mode   uint32 // of a file that WriteFile creates
	Cut    bool   // the file ends after this chunk
}

// ChunkSize bounds the data of one call.
const ChunkSize = 1 << 20

// KernelLine is one message of the kernel.
type KernelLine struct {
	Seq  uint64
	At   int64 // as the kernel stamped it
	Text string
}

// DiskArgs ask for a disk of the USB bus that is not among Known.
type DiskArgs struct {
	Known   map[string]string // as the call Disks returned it
	Timeout time.Duration
}

// Disk is a block device that appeared.
type Disk struct {
	Name       string   // as in /sys/block
	Partitions []string // names of its partitions
	At         int64    // when the device nodes were there
}

// MountedArgs ask for a mount on Dir, or for its end.
type MountedArgs struct {
	Dir     string
	Gone    bool
	Timeout time.Duration
}

// Task is a thread that does not answer signals.
type Task struct {
	PID, TID int
	Name     string
	Stack    string
}

// UntilArgs run a command again and again until its exit code is 0 and Pattern, a regular
// expression, matches its standard output.
type UntilArgs struct {
	Command Command
	Pattern string
	Every   time.Duration
	Timeout time.Duration
}
