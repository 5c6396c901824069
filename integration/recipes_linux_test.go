package integration

import (
	"regexp"
	"strings"
	"testing"
)

// recipeChecks are, for each recipe of docs/mounting.md that has something to carry out, what must be true
// afterwards: further lines of the script.
var recipeChecks = map[string]string{
	"By hand": `! findmnt /mnt/card`,
	"At boot": `systemctl is-active mnt-card.mount`,
	"At boot, if it is there": `
systemctl is-active mnt-card.mount multi-user.target
[ -e /srv/card.img ]`,
	"By a user": `
! findmnt /mnt/card
su anna -c 'mount /mnt/card && grep hello /mnt/card/hello.txt && umount /mnt/card'`,
	"When somebody looks": automountCheck,
	"When somebody looks, as units": automountCheck + `
systemctl is-enabled mnt-card.automount`,
	"As a service": `
! findmnt /mnt/card
systemctl start card
findmnt /mnt/card`,
	"With autofs": `
echo hello >/images/card/hello.txt
# Its signal for "expire what is idle now".
systemctl kill -s USR1 --kill-who=main autofs
while findmnt -t fuse.fatvol /images/card; do sleep 0.1; done
grep hello /images/card/hello.txt`,
}

// automountCheck: an automount mounts once more after an unmount.
const automountCheck = `
echo hello >/mnt/card/hello.txt
systemctl stop mnt-card.mount
! findmnt -t fuse.fatvol /mnt/card
grep hello /mnt/card/hello.txt`

// TestRecipes carries out docs/mounting.md, each recipe in a system that is booted for it.
func TestRecipes(t *testing.T) {
	if testing.Short() {
		t.Skip("installs a Debian")
	}
	needFUSE(t)
	debian(t)
	first, recipes := readRecipes(t, "../docs/mounting.md")
	done := 0
	for _, r := range recipes {
		if len(r.files) == 0 && r.script == "" {
			continue // prose
		}
		done++
		t.Run(r.title, func(t *testing.T) {
			t.Parallel()
			check, ok := recipeChecks[r.title]
			if !ok {
				t.Fatal("nobody says what is true after it")
			}
			s := newSystem(t, r.files)
			for _, b := range s.boot(t, first.script+r.script+check) {
				if testing.Verbose() {
					t.Log(b.out)
				}
			}
		})
	}
	if done != len(recipeChecks) {
		t.Errorf("%d recipes in the page, %d known", done, len(recipeChecks))
	}
}

// A system whose medium is gone, with something unsaved, shuts down in time; what is unsaved is where the
// next boot finds it.
func TestShutdownWithoutMedium(t *testing.T) {
	if testing.Short() {
		t.Skip("installs a Debian")
	}
	s := newSystem(t, map[string]string{
		"/etc/fstab": "/srv/card.img /mnt/card fatvol nofail,helper=fatvol 0 0\n",
	})
	// The writer goes on until it gets an error, so that something is always unsaved; it notes what was
	// acknowledged. The image is taken away while fatvol is stopped: in one instant, for it.
	// With nofail nothing waits for the mount, which systemd puts off while there are many.
	boots := s.boot(t, `
systemctl start mnt-card.mount
findmnt /mnt/card
(
	exec 3>>/mnt/card/diary
	n=0
	while echo "line $n" >&3; do
		echo "line $n"
		n=$((n + 1))
	done
) >/srv/acknowledged 2>/dev/null &
while ! grep -q "line 100" /srv/acknowledged; do sleep 0.05; done
server=$(fatvol status --json /mnt/card | sed 's/.*"pid":\([0-9]*\).*/\1/')
kill -STOP "$server"
cp --sparse=always /srv/card.img /srv/pulled.img
rm /srv/card.img
kill -CONT "$server"
wait
while ! fatvol status --json /mnt/card | grep '"state":"gone"'; do sleep 0.05; done
`, `
! systemctl start mnt-card.mount
! findmnt /mnt/card
fatvol replay list
ls /var/lib/fatvol
mv /srv/pulled.img /srv/card.img
`, `
systemctl start mnt-card.mount
findmnt /mnt/card
[ -z "$(ls /var/lib/fatvol)" ]
# Of a line that was never acknowledged, all or nothing may be there.
cmp -n "$(stat -c %s /srv/acknowledged)" /mnt/card/diary /srv/acknowledged
`)
	kept := regexp.MustCompile(`/var/lib/fatvol/\S+`).FindString(boots[0].journal)
	if kept == "" {
		t.Errorf("the journal does not say where the unsaved writes are:\n%s", boots[0].journal)
	} else if name := kept[strings.LastIndex(kept, "/")+1:]; !strings.Contains(boots[1].out, strings.TrimRight(name, ".,;:'\"")) {
		t.Errorf("%s is not there at the next boot:\n%s", kept, boots[1].out)
	}
}
