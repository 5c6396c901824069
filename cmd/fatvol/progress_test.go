package main

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"
)

func TestProgressLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := startProgress(&out, "create disk.img", 100<<20)
		p.add(10 << 20)
		time.Sleep(progressDelay + time.Millisecond)
		p.add(45 << 20)
		time.Sleep(progressLineEvery)
		p.close()
		p = startProgress(&out, "read", 0)
		p.add(3 << 10)
		time.Sleep(progressDelay + time.Millisecond)
		p.close()
		const want = "fatvol: create disk.img: 10.0 MiB of 100.0 MiB (10%), 10.0 MiB/s, 9s left\n" +
			"fatvol: create disk.img: 55.0 MiB of 100.0 MiB (55%), 5.0 MiB/s, 9s left\n" +
			"fatvol: read: 3.0 KiB, 3.0 KiB/s\n"
		if out.String() != want {
			t.Errorf("got:\n%swant:\n%s", out.String(), want)
		}
	})
}

func TestProgressSaysNothingOfShortWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := startProgress(&out, "create", 100)
		p.add(50)
		time.Sleep(progressDelay - time.Millisecond)
		p.close()
		var none *progress
		none.add(1)
		none.close()
		if out.Len() != 0 {
			t.Errorf("%q", out.String())
		}
	})
}
