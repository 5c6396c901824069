package main

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"fatvol/watch"
)

// metricsType is the content type of Prometheus' text format.
const metricsType = "text/plain; version=0.0.4; charset=utf-8"

// A metric is a family of samples; each has the label mountpoint, and labels of its own.
type metric struct {
	name, kind, help string
	// samples calls add for each sample of a mount. labels are names and values in turn.
	samples func(st *mountStatus, add func(value float64, labels ...string))
}

// gauge and counter are metrics with one sample for each mount that can be asked.
func gauge(name, help string, value func(*mountStatus) float64) metric {
	return metric{name, "gauge", help, one(value)}
}

func counter(name, help string, value func(*mountStatus) int64) metric {
	return metric{name, "counter", help, one(func(st *mountStatus) float64 { return float64(value(st)) })}
}

func one(value func(*mountStatus) float64) func(*mountStatus, func(float64, ...string)) {
	return func(st *mountStatus, add func(float64, ...string)) {
		if st.asked() {
			add(value(st))
		}
	}
}

// metrics are what Prometheus gets. Names and meanings stay; metrics may be added.
var metrics = []metric{
	{"fatvol_mount_up", "gauge", "Whether the process that serves the mount answers.", func(st *mountStatus, add func(float64, ...string)) {
		add(flag(st.asked()))
	}},
	{"fatvol_mount_info", "gauge", "What is mounted; the value is always 1.", func(st *mountStatus, add func(float64, ...string)) {
		add(1, "image", st.Image, "serial", st.Serial, "version", st.Version)
	}},
	gauge("fatvol_mount_start_time_seconds", "When the mount was made, in seconds since 1970.",
		func(st *mountStatus) float64 { return seconds(st.Started) }),
	{"fatvol_medium_state", "gauge", "The state of the medium: 1 for the one it is in, 0 for the others.", func(st *mountStatus, add func(float64, ...string)) {
		if !st.asked() {
			return
		}
		for s := watch.Present; s <= watch.Closed; s++ {
			add(flag(st.State == s.String()), "state", s.String())
		}
	}},
	gauge("fatvol_medium_state_since_seconds", "When the medium was found, went, or was closed, in seconds since 1970.",
		func(st *mountStatus) float64 { return seconds(st.Since) }),
	gauge("fatvol_medium_generation", "How often the medium has been there, from 1.",
		func(st *mountStatus) float64 { return float64(st.Generation) }),
	counter("fatvol_medium_losses_total", "Times that the medium went.", func(st *mountStatus) int64 { return st.Losses }),
	counter("fatvol_medium_looks_total", "Attempts to open the image again while the medium was gone.", func(st *mountStatus) int64 { return st.Looks }),
	gauge("fatvol_read_only", "Whether the volume is read-only.", func(st *mountStatus) float64 { return flag(st.ReadOnly) }),
	gauge("fatvol_host_read_only", "Whether the host takes no writes now.", func(st *mountStatus) float64 { return flag(st.HostRO) }),
	counter("fatvol_reads_total", "Requests of the kernel that read contents of files.", func(st *mountStatus) int64 { return st.Reads }),
	counter("fatvol_read_bytes_total", "Bytes that these requests were given.", func(st *mountStatus) int64 { return st.ReadBytes }),
	counter("fatvol_writes_total", "Requests of the kernel that changed contents of files.", func(st *mountStatus) int64 { return st.Writes }),
	counter("fatvol_written_bytes_total", "Bytes that these requests wrote.", func(st *mountStatus) int64 { return st.Written }),
	counter("fatvol_failed_requests_total", "Requests of the kernel that were answered with EIO.", func(st *mountStatus) int64 { return st.Failed }),
	gauge("fatvol_unsynced_bytes", "Bytes that were written and are not known to be on the medium.",
		func(st *mountStatus) float64 { return float64(st.Unsynced) }),
	gauge("fatvol_unsynced_limit_bytes", "Bytes that may be unsynced before writers wait.",
		func(st *mountStatus) float64 { return float64(st.Limit) }),
	gauge("fatvol_unsynced_files", "Files with unsynced bytes.", func(st *mountStatus) float64 { return float64(st.Files) }),
	gauge("fatvol_unsynced_names", "Whether names, sizes or times have changed and are only in memory.",
		func(st *mountStatus) float64 { return flag(st.Names) }),
	counter("fatvol_host_calls_total", "Calls of the host's file system for the image.", func(st *mountStatus) int64 { return st.Calls }),
	counter("fatvol_host_errors_total", "Calls of the host's file system that failed.", func(st *mountStatus) int64 { return st.Errors }),
	gauge("fatvol_host_abandoned_calls", "Calls of the host's file system that were given up on and have not ended.",
		func(st *mountStatus) float64 { return float64(st.Abandoned) }),
	{"fatvol_detector_up", "gauge", "Whether a way of learning that the medium goes works here.", func(st *mountStatus, add func(float64, ...string)) {
		for _, name := range slices.Sorted(maps.Keys(st.Detectors)) {
			add(flag(st.Detectors[name] == ""), "detector", name)
		}
	}},
}

// asked reports whether st is the mount's own answer.
func (st *mountStatus) asked() bool { return st.State != unknownState && st.State != deadState }

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1e3 }

// writeMetrics writes what is known of mounts in Prometheus' text format.
func writeMetrics(out io.Writer, all []*mountStatus) error {
	// A mount that another covers would have the same labels.
	top := map[string]*mountStatus{}
	for _, st := range all {
		top[st.Dir] = st
	}
	w := bufio.NewWriter(out)
	for _, m := range metrics {
		begun := false
		for _, dir := range slices.Sorted(maps.Keys(top)) {
			st := top[dir]
			m.samples(st, func(value float64, labels ...string) {
				if !begun {
					fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n", m.name, m.help, m.name, m.kind)
					begun = true
				}
				fmt.Fprintf(w, "%s{%s} %s\n", m.name, labelText(append([]string{"mountpoint", st.Dir}, labels...)),
					strconv.FormatFloat(value, 'f', -1, 64))
			})
		}
	}
	return w.Flush()
}

// labelText is labels as the format has them: names and values in turn.
func labelText(labels []string) string {
	var pairs []string
	for pair := range slices.Chunk(labels, 2) {
		pairs = append(pairs, pair[0]+`="`+labelEscapes.Replace(strings.ToValidUTF8(pair[1], "\uFFFD"))+`"`)
	}
	return strings.Join(pairs, ",")
}

var labelEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)
