package integration

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// metricsOf asks a mount's control socket for its metrics, and returns the samples by their names.
func metricsOf(t *testing.T, socket string) map[string]float64 {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return net.Dial("unix", socket)
	}}}
	resp, err := client.Get("http://fatvol/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %v", resp.Status, err)
	}
	samples := map[string]float64{}
	for name, f := range families {
		if m := f.GetMetric(); len(m) == 1 {
			samples[name] = m[0].GetGauge().GetValue() + m[0].GetCounter().GetValue()
		}
	}
	return samples
}

// What goes through a mount is counted, on its socket as in `fatvol status`, and counts on while the medium
// is gone.
func TestMetrics(t *testing.T) {
	stick := lazyStage(t)
	dir := mountImage(t, stick.img)
	socket := statusOf(t, dir).Socket
	const size = 1 << 20
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, bytes.Repeat([]byte{1}, size), 0o666); err != nil {
		t.Fatal(err)
	}
	// Past the kernel's cache, whose answers are not counted.
	run(t, "dd", "if="+file, "of=/dev/null", "bs=64k", "iflag=direct", "status=none")
	n := metricsOf(t, socket)
	if n["fatvol_written_bytes_total"] != size || n["fatvol_writes_total"] < 1 || n["fatvol_read_bytes_total"] != size || n["fatvol_reads_total"] < 1 {
		t.Errorf("%v", n)
	}
	if n["fatvol_medium_generation"] != 1 || n["fatvol_unsynced_limit_bytes"] != 64<<20 || n["fatvol_mount_up"] != 1 {
		t.Errorf("%v", n)
	}
	stick.away()
	await(t, dir, "gone", isGone)
	if _, err := os.ReadFile(file); err == nil {
		t.Error("a file can be read that is gone")
	}
	n = metricsOf(t, socket)
	if n["fatvol_medium_losses_total"] != 1 || n["fatvol_failed_requests_total"] < 1 || n["fatvol_written_bytes_total"] != size {
		t.Errorf("gone: %v", n)
	}
	if out := run(t, binary(t), "status", "--prometheus", dir); !strings.Contains(out, "fatvol_medium_losses_total{mountpoint=\""+dir+"\"} 1\n") {
		t.Error(out)
	}
	stick.back()
	st := await(t, dir, "back", isPresent)
	var states []string
	for _, c := range st.History {
		states = append(states, c.State)
	}
	if want := []string{"present", "gone", "verifying", "present"}; !slices.Equal(states, want) || st.History[1].Reason == "" {
		t.Errorf("history: %+v", st.History)
	}
}
