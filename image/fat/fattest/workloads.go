package fattest

import "fmt"

// Workloads are what applications do to a volume, and what they may rely on after a cut. They have room in
// 900 clusters of 512 bytes.
var Workloads = map[string]func(*Scene){
	"append":   appendAndSync,
	"editor":   saveAsEditor,
	"rewrite":  rewrite,
	"trees":    makeAndMoveTrees,
	"reuse":    reuse,
	"truncate": truncateUpAndDown,
	"growth":   growDirectory,
	"exchange": exchange,
	"rotate":   rotate,
	"mixed":    mixed,
}

func appendAndSync(s *Scene) {
	for i := range 12 {
		path := fmt.Sprintf("file with a long name, number %d.data", i)
		all := s.Data(s.some(3000))
		f := s.Create(path, all)
		f.Sync()
		s.Promise(path, all)
		for range 3 {
			more := s.Data(s.some(9000))
			s.Promise(path, all, all+more)
			f.Append(more)
			all += more
			f.Sync()
			s.Promise(path, all)
		}
		f.Close()
	}
}

// saveAsEditor writes another file and renames it over the first.
func saveAsEditor(s *Scene) {
	old := s.Data(2000)
	s.Create("Document.text", old).Close()
	s.Sync()
	s.Promise("Document.text", old)
	for i := range 25 {
		text := s.Data(s.some(8000))
		f := s.Create("document.text.tmp~", text)
		if i%3 == 0 {
			f.Sync()
		}
		s.Promise("Document.text", old, text)
		s.Rename("document.text.tmp~", "Document.text")
		if i%2 == 0 {
			f.Sync()
			s.Promise("Document.text", text)
		}
		f.Close()
		if i%2 != 0 {
			s.Sync()
			s.Promise("Document.text", text)
		}
		old = text
	}
}

// rewrite truncates a file to nothing and gives it new contents.
func rewrite(s *Scene) {
	old := s.Data(5000)
	f := s.Create("settings.ini", old)
	f.Sync()
	s.Promise("settings.ini", old)
	for range 15 {
		text := s.Data(s.some(9000))
		s.Promise("settings.ini", old, text)
		f.Truncate(0)
		f.Append(text)
		f.Sync()
		s.Promise("settings.ini", text)
		old = text
	}
	f.Close()
}

func makeAndMoveTrees(s *Scene) {
	for i := range 8 {
		top := fmt.Sprintf("Directory number %d", i)
		s.Mkdir(top)
		s.Mkdir(top + "/sub directory")
		text := s.Data(700)
		s.Create(top+"/sub directory/some file.txt", text).Close()
		if i%2 == 0 {
			s.Sync()
		}
		s.Mkdir(top + " other")
		s.Rename(top+"/sub directory", top+" other/moved here")
		s.Sync()
		s.Promise(top+" other/moved here/some file.txt", text)
		s.PromiseNothing(top + " other/moved here/some file.txt")
		s.Rename(top+" other", top+"/deeper")
		if i%3 == 0 {
			s.Sync()
			s.Promise(top+"/deeper/moved here/some file.txt", text)
		}
		s.PromiseNothing(top + "/deeper/moved here/some file.txt")
		s.Unlink(top + "/deeper/moved here/some file.txt")
		s.Rmdir(top + "/deeper/moved here")
		s.Rmdir(top + "/deeper")
		s.Sync()
	}
}

// reuse fills, removes and fills again: freed clusters and slots get new owners.
func reuse(s *Scene) {
	for round := range 6 {
		var paths []string
		for i := range 12 {
			path := fmt.Sprintf("round %d of file %d", round, i)
			s.Create(path, s.Data(s.rng.IntN(4000)+200)).Close()
			paths = append(paths, path)
		}
		s.Sync()
		for i, p := range paths {
			if i%3 == 0 {
				continue
			}
			s.Unlink(p)
			if i%4 == 0 { // the very name comes back
				s.Create(p, s.Data(900)).Close()
			}
		}
		s.Sync()
	}
}

func truncateUpAndDown(s *Scene) {
	const path = "grows and shrinks.bin"
	all := s.Data(40000)
	f := s.Create(path, all)
	f.Sync()
	s.Promise(path, all)
	resize := func(size int) {
		f.Truncate(size)
		all = ofSize(all, size)
	}
	for i := range 20 {
		s.PromiseNothing(path)
		resize(s.rng.IntN(40000))
		if i%2 == 0 {
			resize(len(all) + 5000)
		}
		if i%5 == 0 {
			s.Rename(path, "x")
			s.Rename("x", path)
		}
		f.Sync()
		s.Promise(path, all)
	}
	f.Close()
}

// growDirectory has the end of a directory go away and come back.
func growDirectory(s *Scene) {
	s.Mkdir("d")
	name := func(i int) string {
		return fmt.Sprintf("d/entry with a rather long name so that slots run out %d", i)
	}
	for range 3 {
		for i := range 60 {
			s.Create(name(i), "").Close()
			if i%20 == 19 {
				s.Sync()
			}
		}
		for i := range 60 {
			s.Unlink(name(i))
			if i%25 == 24 {
				s.Sync()
			}
		}
		s.Sync()
	}
}

func exchange(s *Scene) {
	s.Mkdir("far away")
	for i := range 30 { // so that the two names do not share an atom
		s.Create(fmt.Sprintf("far away/filler %d", i), "").Close()
	}
	a, b := s.Data(1000), s.Data(2000)
	s.Create("left.bin", a).Close()
	s.Create("far away/right.bin", b).Close()
	s.Sync()
	for range 10 {
		s.Promise("left.bin", a, b)
		s.Promise("far away/right.bin", a, b)
		s.Exchange("left.bin", "far away/right.bin")
		a, b = b, a
		s.Sync()
		s.Promise("left.bin", a)
		s.Promise("far away/right.bin", b)
	}
}

// rotate has names go and come in one epoch.
func rotate(s *Scene) {
	for i := range 4 {
		s.Create(fmt.Sprintf("the log file.%d", i), s.Data(500+i)).Close()
	}
	s.Sync()
	for round := range 10 {
		s.Rename("the log file.2", "the log file.3")
		s.Rename("the log file.1", "the log file.2")
		s.Rename("the log file.0", "the log file.1")
		s.Create("the log file.0", s.Data(300)).Close()
		if round%2 == 0 {
			s.Sync()
		}
	}
}
