package fs

import (
	"encoding/binary"
	"os"
	"runtime"
	"strings"
	"time"
)

const (
	// denseRate is how many requests a second are many: the time between two of them is then of the order of what it
	// takes to wake a processor.
	denseRate = 1500
	// So many of them for denseFor begin a wish for processors that stay awake, and fewer for sparseFor end it. Each
	// change wakes all processors that sleep.
	denseFor, sparseFor = 4 * time.Millisecond, 10 * time.Millisecond
	// fewCPUs is for how many processors, at most, WakeupAuto has the idle ones stay awake.
	fewCPUs = 4

	latencyDevice = "/dev/cpu_dma_latency"
	noLatency     = 2_000_000_000 // in µs: PM_QOS_CPU_LATENCY_DEFAULT_VALUE of linux/pm_qos.h, "no wish"
)

// A wakeup asks the kernel, while requests follow each other closely, for processors that wake at once: whoever waits
// for a reply sleeps for a few microseconds only, and with several processors each request makes one of them idle. The
// wish is the kernel's "CPU latency QoS" (Documentation/power/pm_qos_interface.rst), and ends with the process.
type wakeup struct {
	file    *os.File // nil: not to be asked for
	wish    int32    // in µs
	active  bool
	against time.Duration // how long requests have spoken for the other state
}

// newWakeup opens what the wish is told to, where it is to be made.
func newWakeup(opt *Options) *wakeup {
	w := &wakeup{}
	if opt.Wakeup == WakeupNormal || opt.Wakeup == WakeupAuto && runtime.NumCPU() > fewCPUs || runtime.NumCPU() == 1 {
		return w
	}
	file, err := os.OpenFile(latencyDevice, os.O_WRONLY, 0)
	if err != nil {
		if opt.Wakeup == WakeupFast {
			opt.Log.Warn("processors cannot be asked to wake fast", "err", err)
		}
		return w
	}
	w.file, w.wish = file, 2 // the first sleep, and no deeper one
	if driver, err := os.ReadFile("/sys/devices/system/cpu/cpuidle/current_driver"); err == nil && strings.TrimSpace(string(driver)) == "haltpoll" {
		w.wish = 0 // each sleep of a virtual machine's processor is one of its host's
	}
	if err := w.tell(noLatency); err != nil { // opening alone already counts as a wish
		opt.Log.Warn("processors cannot be asked to wake fast", "err", err)
		w.close()
	}
	return w
}

// tick takes in how many requests came in a time that has passed.
func (w *wakeup) tick(requests float64, passed time.Duration) {
	if w.file == nil {
		return
	}
	dense := requests >= denseRate*passed.Seconds()
	if dense == w.active {
		w.against = 0
		return
	}
	enough := denseFor
	if w.active {
		enough = sparseFor
	}
	if w.against += passed; w.against >= enough {
		w.set(!w.active)
	}
}

// set makes the wish, or takes it back.
func (w *wakeup) set(active bool) {
	if w.file == nil || active == w.active {
		return
	}
	latency := int32(noLatency)
	if active {
		latency = w.wish
	}
	if err := w.tell(latency); err != nil {
		w.close() // which takes back what was wished
	}
	w.active, w.against = active, 0
}

func (w *wakeup) tell(latency int32) error {
	_, err := w.file.Write(binary.NativeEndian.AppendUint32(nil, uint32(latency)))
	return err
}

func (w *wakeup) close() {
	if w.file != nil {
		w.file.Close()
		w.file = nil
	}
}
