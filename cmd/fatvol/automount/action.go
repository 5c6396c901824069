package automount

// A verb is what an action does.
type verb string

const (
	doSkip    verb = "skip"    // leave a medium alone
	doSearch  verb = "search"  // look for images on a medium
	doRefuse  verb = "refuse"  // not mount a file that looked like an image by its name
	doMount   verb = "mount"   // a volume
	doAdopt   verb = "adopt"   // take over a mount that somebody, or a helper before us, has made
	doUnmount verb = "unmount" // a volume
	doDetach  verb = "detach"  // unmount it lazily
	doRemove  verb = "remove"  // a directory on which nothing is mounted
	doHeed    verb = "heed"    // a request to unmount the medium
	doFinish  verb = "finish"  // unmount the medium for whoever asked
	doTell    verb = "tell"    // the user
)

// A cause is what an unmount is for.
type cause string

const (
	causeUnused  cause = "unused"  // the medium is gone, and nothing keeps the volume
	causeExpired cause = "expired" // the medium has been away for too long
	causeMoved   cause = "moved"   // the medium is mounted elsewhere now
	causeAsked   cause = "asked"   // the medium is to be unmounted
)

// An action is a step of the helper, with its reason.
type action struct {
	do      verb
	why     string
	cause   cause  // of an unmount
	medium  Medium // that it is about, if any
	image   string // absolute path
	volume  Volume
	several bool   // the image has more volumes than one
	dir     string // the mount point
	mount   Mount  // as it was planned for
	notice  notice
}

// subject is what no other action may be about at the same time.
func (a *action) subject() string {
	switch a.do {
	case doMount, doAdopt, doUnmount, doDetach, doRemove:
		return a.dir
	case doTell:
		return "tell " + a.notice.about
	}
	return a.medium.key() + " " + a.image
}

// result is how an action came out.
type result struct {
	err    error
	said   string // what the user should know of an unmount that worked
	still  bool   // it is mounted all the same
	search *Search
}
