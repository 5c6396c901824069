package fat_test

import (
	"testing"

	"fatvol/image/fat"
	"fatvol/image/fat/fattest"
)

// TestRegressions replays what the exerciser once found.
func TestRegressions(t *testing.T) {
	for _, c := range []struct {
		name string
		cell cell
		ops  []fattest.Op
	}{
		{"a truncated file that fills the volume is removed", cell{fattest.Layout{Width: 32, Clusters: 65525, SectorSize: 1024, ClusterSize: 8192}, fat.Options{}}, []fattest.Op{
			{Kind: fattest.OpOpen, Path: "bUPPER.low", Slot: 4, Flags: fattest.Create},
			{Kind: fattest.OpWrite, Slot: 4, Off: 1412, Len: 22781, Seed: 0xb7485a47a93ea12f},
			{Kind: fattest.OpFtruncate, Slot: 4, Len: 8390},
			{Kind: fattest.OpWrite, Slot: 4, Off: 4294955817, Len: 8192, Seed: 0xe985ab75dd55189f},
			{Kind: fattest.OpClose, Slot: 4},
			{Kind: fattest.OpUnlink, Path: "bUPPER.low"},
			{Kind: fattest.OpOpen, Path: "12345678.123", Slot: 4, Flags: fattest.Create | fattest.Append},
			{Kind: fattest.OpFsync, Slot: 4},
			{Kind: fattest.OpFtruncate, Slot: 4, Len: 3854},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if err := fattest.Replay(engineConfig(t, c.cell), append(c.ops, fattest.Op{Kind: fattest.OpRemount})); err != nil {
				t.Error(err)
			}
		})
	}
}
