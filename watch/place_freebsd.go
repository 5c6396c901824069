package watch

// fill asks the kernel about the descriptor of an image. FreeBSD does not tell its path.
func (p *Place) fill(fd int, was Place) error {
	if was.Known {
		*p = was
		return nil
	}
	return p.identify(fd)
}
