package automount

import "context"

// Say tells the desktop how an ejection that the user asked for went.
func Say(ctx context.Context, err error) {
	n := notice{kind: noticeSafe, summary: "The medium can be removed", body: "Everything on it is saved."}
	if err != nil {
		n = notice{kind: noticeBusy, summary: "The medium cannot be removed yet", body: sentence(err.Error())}
	}
	say(ctx, n)
}

// SayFailed tells the desktop that an image could not be opened.
func SayFailed(ctx context.Context, image string, err error) {
	say(ctx, notice{kind: noticeFailed, summary: image + " cannot be opened", body: sentence(err.Error())})
}

// say shows a notice. That it cannot be shown is no reason for another error: whoever asked sees that as well.
func say(ctx context.Context, n notice) {
	d := NewDesktop()
	defer d.Close()
	ctx, cancel := context.WithTimeout(ctx, noticeTime)
	defer cancel()
	_ = d.Notify(ctx, n)
}
