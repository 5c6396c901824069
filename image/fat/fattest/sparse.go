package fattest

// sparsePage is the unit in which a sparse holds its bytes.
const sparsePage = 4096

// sparse is the contents of a file: bytes that were never written are zero and take no memory.
// It knows no size.
type sparse struct {
	pages map[int64]*[sparsePage]byte
}

// each calls fn for the parts of pages that [off, off+n) consists of; at counts from off.
func (s *sparse) each(off, n int64, fn func(page, from, to, at int64)) {
	for at := int64(0); at < n; {
		page, from := (off+at)/sparsePage, (off+at)%sparsePage
		m := min(sparsePage-from, n-at)
		fn(page, from, from+m, at)
		at += m
	}
}

func (s *sparse) read(p []byte, off int64) {
	s.each(off, int64(len(p)), func(page, from, to, at int64) {
		if b := s.pages[page]; b != nil {
			copy(p[at:], b[from:to])
		} else {
			clear(p[at : at+to-from])
		}
	})
}

func (s *sparse) write(p []byte, off int64) {
	if s.pages == nil {
		s.pages = map[int64]*[sparsePage]byte{}
	}
	s.each(off, int64(len(p)), func(page, from, to, at int64) {
		b := s.pages[page]
		if b == nil {
			b = new([sparsePage]byte)
			s.pages[page] = b
		}
		copy(b[from:to], p[at:])
	})
}

// zero makes [off, off+n) zero at a cost that depends on the pages there are, not on n.
func (s *sparse) zero(off, n int64) {
	for page, b := range s.pages {
		from, to := max(off, page*sparsePage), min(off+n, (page+1)*sparsePage)
		switch {
		case from >= to:
		case to-from == sparsePage:
			delete(s.pages, page)
		default:
			clear(b[from-page*sparsePage : to-page*sparsePage])
		}
	}
}
