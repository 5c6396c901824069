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
		all := c.data(330 * size)
		n := c.create("grows by clusters.bin", all)
		c.must(n.Sync())
		first = c.rec.Len()
		for i := range 24 {
			more := c.data(size)
			c.promise("grows by clusters.bin", all, all+more)
			c.append(n, more)
			all += more
			c.must(n.Sync())
			if i%4 == 3 {
				shorter := all[:len(all)-size]
				c.promise("grows by clusters.bin", all, shorter)
				c.must(n.Truncate(int64(len(shorter))))
				c.must(n.Sync())
				all = shorter
			}
		}
		n.Release(1)
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
