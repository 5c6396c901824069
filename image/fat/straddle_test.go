package fat_test

import (
	"math/rand/v2"
	"testing"

	"fatvol/image/fat/fattest"
)

// TestCutStraddling cuts a chain that grows and shrinks by single clusters over those whose entries, on
// FAT12, lie across two sectors: what is half written there is another number.
func TestCutStraddling(t *testing.T) {
	first := 0 // length of the log once the chain is near such a cluster
	c, base := recordScene(t, fattest.Layout{Width: 12, Clusters: 900}, func(c *scene) {
		size := c.v.Geometry().ClusterSize
		all := c.Data(330 * size)
		n := c.Create("grows by clusters.bin", all)
		n.Sync()
		first = c.rec.Len()
		for i := range 24 {
			more := c.Data(size)
			c.Promise("grows by clusters.bin", all, all+more)
			n.Append(more)
			all += more
			n.Sync()
			if i%4 == 3 {
				shorter := all[:len(all)-size]
				c.Promise("grows by clusters.bin", all, shorter)
				n.Truncate(len(shorter))
				n.Sync()
				all = shorter
			}
		}
		n.Close()
	})
	rng := rand.New(rand.NewPCG(*sceneSeed, 7))
	for upTo := first; upTo <= c.rec.Len(); upTo++ {
		for range 12 {
			mixed := base.Clone()
			if err := c.rec.Scatter(mixed, upTo, rng); err != nil {
				t.Fatal(err)
			}
			if !c.verify(mixed, upTo, "scattered") {
				return
			}
		}
	}
}
