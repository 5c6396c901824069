# make demo       a guided tour: builds fatvol, mounts an image, pulls its medium, puts it back, and nothing is lost
# make            builds bin/fatvol
# make test       everything there is to test; installs what it needs (Debian, Ubuntu)
# make install    into PREFIX (/usr/local), with helpers for mount(8), manual pages and completions
# make packages   a .deb and an .rpm of the same

PREFIX    ?= /usr/local
BINDIR    ?= $(PREFIX)/bin
MANDIR    ?= $(PREFIX)/share/man
# mount(8) looks for its helpers nowhere else.
SYSTEM    ?= $(shell uname -s)
ifeq ($(SYSTEM),Darwin)
HELPERDIR ?= /Library/Filesystems/fatvol.fs/Contents/Resources
AGENTDIR  ?= /Library/LaunchAgents
else
HELPERDIR ?= /sbin
endif
DESTDIR   ?=
DOCDIR    ?= $(PREFIX)/share/doc/fatvol
BASHDIR   ?= $(PREFIX)/share/bash-completion/completions
ZSHDIR    ?= $(PREFIX)/share/zsh/site-functions
FISHDIR   ?= $(PREFIX)/share/fish/vendor_completions.d
USERUNITDIR ?= $(PREFIX)/lib/systemd/user
APPDIR    ?= $(PREFIX)/share/applications

GO        ?= go
VERSION   ?= $(shell git describe --tags --always --dirty 2>/dev/null)
# Of packages: it begins with a digit, and a commit without a tag is older than any release.
PACKAGE_VERSION ?= $(shell git describe --tags --match 'v[0-9]*' 2>/dev/null | sed 's/^v//' | grep . || \
	git log -1 --date=format:%Y%m%d --format=0~%cd.%h 2>/dev/null || echo 0)
PACKAGEDIR ?= bin
NFPM      ?= github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.43.4
FUZZTIME  ?= 20s
# By itself go test spends up to a minute on making each input smaller that reaches something new: then most of the time.
FUZZFLAGS ?= -fuzzminimizetime 1s
TORTURETIME ?= 1h
TESTFLAGS ?=
BENCHFLAGS ?=

ifeq ($(SYSTEM),Linux)
HELPERS   := mount.fatvol mount.fuse.fatvol umount.fatvol umount.fuse.fatvol
else
HELPERS   := mount_fatvol
endif
AGENT     := io.github.fatvol.automount.plist
PLATFORMS := linux/amd64 linux/arm64 linux/386 linux/arm darwin/amd64 darwin/arm64 freebsd/amd64

.PHONY: all build demo test deps vm-deps unit race foreign integration vm medium kills poweroff torture bench bench-scale bench-memory bench-vm microbench fuzz lint man install uninstall packages clean

all: build

build:
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o bin/fatvol ./cmd/fatvol

demo:
	@integration/demo.sh

deps:
	@.ci/install-deps

test: deps vm-deps lint unit race fuzz-short foreign integration vm

# Packages on their own.
unit:
	$(GO) test -timeout 20m $(TESTFLAGS) ./cmd/... ./fs/... ./image/... ./watch/...

# The same under the race detector; long tests are shortened, they have run already.
race:
	$(GO) test -race -short -timeout 20m $(TESTFLAGS) ./cmd/... ./fs/... ./image/... ./watch/...

# The engine where bytes have another order (s390x) and words 32 bits (arm), by an emulator of the processor:
# all codecs, and of the engine's long tests a choice.
foreign: deps
	@set -e; for arch in s390x arm; do \
		echo "== $$arch"; \
		export GOARCH=$$arch CGO_ENABLED=0; \
		$(GO) test -vet=off -short -timeout 20m -exec qemu-$$arch-static -skip '$(FOREIGN_SKIP)' $(TESTFLAGS) \
			./image ./image/device ./image/mkfat ./image/replay ./watch; \
		$(GO) test -vet=off -short -timeout 20m -exec qemu-$$arch-static -run '$(FOREIGN_RUN)' $(TESTFLAGS) ./image/fat -ops 5000; \
	done

# These start themselves as another program, which the kernel cannot, or ask the emulator for what it lacks.
FOREIGN_SKIP := ^TestLock(Reader)?Holder$$
FOREIGN_RUN  := ^Test(Alias|Attributes|Charset|Clock|Encode|Fold|Geometry|IOCharset|Long|NewNames|OEM|Parse|Short|Show|Upper)|$\
	^Test(Exercise|PowerCutExercise|Extents|FilesComeAndGo|Orphan|Regressions|Defrag)$$

# The built program on real mounts, with real tools; one package at a time, as some count what happens meanwhile.
integration: deps
	$(GO) test -p 1 -timeout 30m $(TESTFLAGS) ./integration ./integration/bench ./integration/fixture

# What the virtual machine is made of.
vm-deps:
	@integration/vm/prepare.sh
	@integration/vm/prepare-desktop.sh

# The stick with the image pulled from a virtual machine.
vm: deps vm-deps
	$(GO) test -timeout 60m $(TESTFLAGS) ./integration/vm

# All of what is about a medium that goes and comes back.
medium: vm
	$(GO) test -timeout 30m -run '$(MEDIUM)' $(TESTFLAGS) ./integration

MEDIUM := Host|Gone|Detector|Unmount|Umount|Return|Renamed|Permissions|Replay|Unsaved|Changed|Lazy|Status|Signal|Readme

# The serving process killed at 200 random moments under load; `make integration` does 40.
kills: deps
	$(GO) test -timeout 30m -run '^TestKilled$$' $(TESTFLAGS) ./integration -kills 200

# The virtual machine's power going at 200 random moments under load; `make vm` does 8.
poweroff: deps vm-deps
	$(GO) test -timeout 60m -v -run '^TestPowerOff$$' $(TESTFLAGS) ./integration/vm -poweroffs 200

# Eight writers on a medium that goes and returns every few seconds, for TORTURETIME; `make integration` does 20 s.
torture: deps
	$(GO) test -timeout 0 -v -run '^TestTorture$$' $(TESTFLAGS) ./integration -torture $(TORTURETIME)

# fatvol beside other file systems; BENCHFLAGS='-quick' takes some minutes, -help lists the flags.
bench: deps
	@.ci/install-deps bench
	@mkdir -p bin
	$(GO) run ./integration/bench -table bin/bench.md -json bin/bench.json -plot bin/bench.svg $(BENCHFLAGS)

# The cost of operations against sizes, fragments, open files and clients, with a plot of each; some minutes.
bench-scale:
	@mkdir -p bin
	$(GO) run ./integration/bench scale -table bin/scale.md -json bin/scale.json -plots bin $(BENCHFLAGS)

# The memory of the serving process: idle, at its peak in the rows of the table, and with a million files looked at. It
# has the kernel drop its caches, which needs root.
bench-memory: deps
	@.ci/install-deps bench
	@mkdir -p bin
	$(GO) run ./integration/bench memory -table bin/memory.md $(BENCHFLAGS)

# fatvol and the kernel's own vfat side by side, in a virtual machine.
bench-vm: deps vm-deps
	@mkdir -p bin
	$(GO) test -run '^$$' -bench Guest -benchtime 1x -timeout 60m -v ./integration/vm -table $(CURDIR)/bin/bench-vm.md

# The packages' hot paths, in the form that benchstat reads; not integration, whose benchmark boots a virtual machine.
microbench:
	$(GO) test -run '^$$' -bench . -benchmem -timeout 60m $(TESTFLAGS) ./cmd/... ./fs/... ./image/... ./watch/...

# Every fuzz target for FUZZTIME.
fuzz:
	@set -e; for pkg in $$($(GO) list ./...); do \
		for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
			echo "== $$pkg $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $(FUZZFLAGS) $$pkg; \
		done; \
	done

# Every fuzz target for so many inputs, not for a time, so that a slow machine tries as many.
fuzz-short:
	@$(MAKE) --no-print-directory fuzz FUZZTIME=1000x FUZZFLAGS='-fuzzminimizetime 10x'

# Form, suspicious constructs, and that every platform compiles, tests included: go vet compiles them.
lint:
	@unformatted=$$(gofmt -l cmd fs image integration watch); \
	if [ -n "$$unformatted" ]; then echo "gofmt -w is needed on:"; echo "$$unformatted"; exit 1; fi
	@set -e; for p in $(PLATFORMS); do \
		echo "go vet for $$p"; \
		CGO_ENABLED=0 GOOS=$${p%/*} GOARCH=$${p#*/} $(GO) vet ./...; \
	done

# The manual pages come from the same tables as the program's options.
man: build
	bin/fatvol gen-man docs/man

install: build
	install -d $(DESTDIR)$(BINDIR) $(DESTDIR)$(HELPERDIR) $(DESTDIR)$(MANDIR)/man1 $(DESTDIR)$(MANDIR)/man8 \
		$(DESTDIR)$(DOCDIR) $(DESTDIR)$(BASHDIR) $(DESTDIR)$(ZSHDIR) $(DESTDIR)$(FISHDIR)
	install -m 755 bin/fatvol $(DESTDIR)$(BINDIR)/fatvol
	for h in $(HELPERS); do \
		ln -sf $(BINDIR)/fatvol $(DESTDIR)$(HELPERDIR)/$$h; \
		echo '.so man8/mount.fatvol.8' > $(DESTDIR)$(MANDIR)/man8/$$h.8; \
	done
	install -m 644 docs/man/*.1 $(DESTDIR)$(MANDIR)/man1/
	install -m 644 docs/man/*.8 $(DESTDIR)$(MANDIR)/man8/
	install -m 644 LICENSE $(DESTDIR)$(DOCDIR)/copyright
	bin/fatvol completion bash > $(DESTDIR)$(BASHDIR)/fatvol
	bin/fatvol completion zsh > $(DESTDIR)$(ZSHDIR)/_fatvol
	bin/fatvol completion fish > $(DESTDIR)$(FISHDIR)/fatvol.fish
ifeq ($(SYSTEM),Linux)
	install -d $(DESTDIR)$(USERUNITDIR) $(DESTDIR)$(APPDIR)
	sed 's,@BINDIR@,$(BINDIR),' cmd/fatvol/desktop/fatvol-automount.service > $(DESTDIR)$(USERUNITDIR)/fatvol-automount.service
	for f in open eject; do \
		sed 's,@BINDIR@,$(BINDIR),' cmd/fatvol/desktop/fatvol-$$f.desktop > $(DESTDIR)$(APPDIR)/fatvol-$$f.desktop; \
	done
endif
ifeq ($(SYSTEM),Darwin)
	install -d $(DESTDIR)$(AGENTDIR)
	sed 's,@BINDIR@,$(BINDIR),' cmd/fatvol/desktop/$(AGENT) > $(DESTDIR)$(AGENTDIR)/$(AGENT)
endif

uninstall:
	rm -f $(DESTDIR)$(BINDIR)/fatvol $(patsubst docs/man/%,$(DESTDIR)$(MANDIR)/man1/%,$(wildcard docs/man/*.1)) \
		$(DESTDIR)$(DOCDIR)/copyright $(DESTDIR)$(BASHDIR)/fatvol $(DESTDIR)$(ZSHDIR)/_fatvol $(DESTDIR)$(FISHDIR)/fatvol.fish \
		$(DESTDIR)$(USERUNITDIR)/fatvol-automount.service $(DESTDIR)$(APPDIR)/fatvol-open.desktop $(DESTDIR)$(APPDIR)/fatvol-eject.desktop
ifeq ($(SYSTEM),Darwin)
	rm -f $(DESTDIR)$(AGENTDIR)/$(AGENT)
endif
	for h in $(HELPERS); do rm -f $(DESTDIR)$(HELPERDIR)/$$h $(DESTDIR)$(MANDIR)/man8/$$h.8; done

# A .deb and an .rpm for this machine's architecture, in PACKAGEDIR.
packages:
	rm -rf $(PACKAGEDIR)/root
	$(MAKE) --no-print-directory install DESTDIR=$(PACKAGEDIR)/root PREFIX=/usr HELPERDIR=/usr/sbin
	for format in deb rpm; do \
		ROOT=$(PACKAGEDIR)/root ARCH=$$($(GO) env GOARCH) VERSION=$(PACKAGE_VERSION) GOFLAGS=-mod=mod \
		$(GO) run $(NFPM) package -f cmd/fatvol/packaging/nfpm.yaml -p $$format -t $(PACKAGEDIR)/ || exit 1; \
	done

clean:
	rm -rf bin
	$(GO) clean -testcache
