package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// parseMetrics reads the text format as Prometheus' own parser does.
func parseMetrics(t *testing.T, text []byte) map[string]*dto.MetricFamily {
	t.Helper()
	p := expfmt.NewTextParser(model.LegacyValidation)
	families, err := p.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return families
}

// sample finds the value of a family's sample that has the labels: names and values in turn.
func sample(t *testing.T, families map[string]*dto.MetricFamily, name string, labels ...string) float64 {
	t.Helper()
	for _, m := range families[name].GetMetric() {
		has := map[string]string{}
		for _, l := range m.GetLabel() {
			has[l.GetName()] = l.GetValue()
		}
		fits := true
		for i := 0; i < len(labels); i += 2 {
			fits = fits && has[labels[i]] == labels[i+1]
		}
		if fits {
			return m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	t.Fatalf("no %s with %q", name, labels)
	return 0
}

func TestMetrics(t *testing.T) {
	const odd = "/mnt/a \"b\"\\c\nd\xff"
	at := time.UnixMilli(1700000000500)
	var out bytes.Buffer
	err := writeMetrics(&out, []*mountStatus{
		{Dir: odd, Image: "/x/covered.img", State: "present"},
		{
			Dir: odd, Image: "/x/disk.img", State: "gone", Since: at, Started: at, Generation: 3, Losses: 3,
			Unsynced: 1 << 40, Limit: 64 << 20, ReadBytes: 5, Failed: 7,
			Detectors: map[string]string{"probe": "", "uevent": "no netlink"},
		},
		{Dir: "/mnt/dead", Image: "/x/dead.img", State: deadState},
	})
	if err != nil {
		t.Fatal(err)
	}
	families := parseMetrics(t, out.Bytes())
	shown := strings.ReplaceAll(odd, "\xff", "\uFFFD")
	for _, tc := range []struct {
		want   float64
		name   string
		labels []string
	}{
		{1, "fatvol_mount_up", []string{"mountpoint", shown}},
		{0, "fatvol_mount_up", []string{"mountpoint", "/mnt/dead"}},
		{1, "fatvol_mount_info", []string{"mountpoint", shown, "image", "/x/disk.img"}},
		{1, "fatvol_medium_state", []string{"mountpoint", shown, "state", "gone"}},
		{0, "fatvol_medium_state", []string{"mountpoint", shown, "state", "present"}},
		{1700000000.5, "fatvol_medium_state_since_seconds", []string{"mountpoint", shown}},
		{1 << 40, "fatvol_unsynced_bytes", []string{"mountpoint", shown}},
		{5, "fatvol_read_bytes_total", []string{"mountpoint", shown}},
		{7, "fatvol_failed_requests_total", []string{"mountpoint", shown}},
		{1, "fatvol_detector_up", []string{"detector", "probe"}},
		{0, "fatvol_detector_up", []string{"detector", "uevent"}},
	} {
		if got := sample(t, families, tc.name, tc.labels...); got != tc.want {
			t.Errorf("%s%q: %v, want %v", tc.name, tc.labels, got, tc.want)
		}
	}
	for name, f := range families {
		counts := f.GetType() == dto.MetricType_COUNTER
		if f.GetHelp() == "" || f.GetType() == dto.MetricType_UNTYPED || counts != strings.HasSuffix(name, "_total") {
			t.Errorf("%s: %v, %q", name, f.GetType(), f.GetHelp())
		}
		// A dead mount has nothing to say but that it is dead; one that is covered has nothing to say.
		seen := map[string]bool{}
		for _, m := range f.GetMetric() {
			key := m.String()
			for _, l := range m.GetLabel() {
				if l.GetValue() == "/x/covered.img" || l.GetValue() == "/mnt/dead" && !strings.HasPrefix(name, "fatvol_mount_") || seen[key] {
					t.Errorf("%s: %v", name, m)
				}
			}
			seen[key] = true
		}
	}
}

// The documentation has every metric, as it is.
func TestMetricsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/status.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range metrics {
		if row := fmt.Sprintf("| `%s` | %s | %s", m.name, m.kind, m.help); !strings.Contains(string(text), row) {
			t.Errorf("docs/status.md lacks %q", row)
		}
	}
}
