package fat

// Hold takes one more reference on a node that the caller holds already, or that is the parent of one
// that he holds. Release gives it back.
func (n *Node) Hold() {
	if n.id == rootID {
		return
	}
	n.v.meta.RLock()
	n.refs.Add(1)
	n.v.meta.RUnlock()
}
