#!/bin/sh
# Tests on another kind of host than this one: Debian trixie with systemd, version 2 of cgroups, its Docker and its
# Python, in an emulator. `make test-cgroup2` runs this.
#
#     sh tests/guest/run.sh [ARGUMENTS OF PYTEST]
#
# The guest is made once and kept in .faas/guest; each run starts from it as it was made, with the files of this
# checkout, and leaves its result in .faas/guest/result. Ends with the status of pytest; only what was started here is
# ended. Root is needed, and some 4 GB of disk and 5 GB of memory.
set -eu
cd "$(dirname "$0")/../.."

release=trixie
home=$PWD/.faas/guest
work=/srv/faas
memory_mb=${GUEST_MEMORY_MB:-4096}
longest_s=${GUEST_SECONDS:-7200}
packages=systemd-sysv,dbus,udev,linux-image-cloud-amd64,initramfs-tools,zstd,docker.io,iptables,iproute2
packages=$packages,docker-cli,apparmor,ca-certificates,python3,python3-venv,mmdebstrap,procps,kmod

say() { printf 'guest: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

need_tools() {
    [ "$(uname -m)" = x86_64 ] || fail "this guest is made for x86-64 only, and this machine is $(uname -m)"
    [ "$(id -u)" = 0 ] || fail "only root can make the guest: its files have owners"
    missing=
    command -v mmdebstrap >/dev/null || missing="$missing mmdebstrap"
    command -v mke2fs >/dev/null || missing="$missing e2fsprogs"
    command -v qemu-system-x86_64 >/dev/null || missing="$missing qemu-system-x86"
    [ -n "$missing" ] || return 0
    command -v apt-get >/dev/null || fail "missing:$missing (names of Debian's packages)"
    say "installing$missing"
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086 # one word for each package
    apt-get update -qq >/dev/null && apt-get install -qq -y --no-install-recommends $missing >/dev/null
}

# What the guest is made from; another one is made when any of it changes.
key() {
    { echo "$release $packages"; cat tests/guest/in_tree.sh pyproject.toml constraints.txt faas/runtimes/python/runtime.py; } |
        sha256sum | cut -c 1-12
}

# The files of the checkout as they are now, committed or not. The guest reads them as a disk.
pack() {
    git -c core.quotePath=off ls-files --cached --others --exclude-standard | while IFS= read -r path; do
        if [ -f "$path" ]; then printf '%s\n' "$path"; fi
    done | tar -cf "$1" --owner=root --group=root --no-recursion --files-from=-
}

clear_up() {
    [ -z "${qemu:-}" ] || kill "$qemu" 2>/dev/null || :
    [ -z "${fresh:-}" ] || rm -rf --one-file-system "$fresh"
}
trap clear_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# Whether a processor's own means (KVM) start a kernel here. Some machines have the device, and start nothing by it.
has_kvm() {
    [ -w /dev/kvm ] || return 1
    (
        timeout -k 5 60 qemu-system-x86_64 -accel kvm -cpu host -m 512 -display none -monitor none -no-reboot \
            -serial stdio -kernel "$home/vmlinuz-$key" -initrd "$home/initrd-$key" \
            -append "console=ttyS0 root=/dev/none rdinit=/bin/none panic=-1" </dev/null | grep -q 'Linux version'
    ) 2>/dev/null
}

# boot IMAGE WHAT [OPTIONS OF QEMU]: ends when the guest has switched itself off.
boot() {
    image=$1 what=$2
    shift 2
    rm -f "$home/result.tar" "$home/swap"
    truncate -s 256M "$home/result.tar"
    truncate -s 1G "$home/swap"
    # What is computed is ten times slower, or more.
    if has_kvm; then how='-accel kvm -cpu host'; else how='-accel tcg,thread=multi -cpu max'; fi
    say "starting the guest ($how)"
    # shellcheck disable=SC2086 # one word for each option
    timeout -k 30 "$longest_s" qemu-system-x86_64 $how -smp 2 -m "$memory_mb" \
        -display none -monitor none -no-reboot -serial stdio \
        -kernel "$home/vmlinuz-$key" -initrd "$home/initrd-$key" \
        -append "root=LABEL=root rw console=ttyS0 quiet faas.guest=$what" \
        -netdev user,id=net -device virtio-net-pci,netdev=net \
        -drive "file=$image,format=raw,if=none,id=root,cache=unsafe${SNAPSHOT:+,snapshot=on}" \
        -drive "file=$home/checkout.tar,format=raw,if=none,id=checkout,read-only=on" \
        -drive "file=$home/result.tar,format=raw,if=none,id=result,cache=unsafe" \
        -drive "file=$home/swap,format=raw,if=none,id=swap,cache=unsafe" \
        -device virtio-blk-pci,drive=root,serial=root \
        -device virtio-blk-pci,drive=checkout,serial=checkout \
        -device virtio-blk-pci,drive=result,serial=result \
        -device virtio-blk-pci,drive=swap,serial=swap \
        "$@" </dev/null &
    qemu=$!
    status=0
    wait "$qemu" || status=$?
    qemu=
    [ "$status" = 0 ] || fail "the emulator ended with status $status (124: not within $longest_s s)"
}

# The status that the guest wrote down, or none.
status_of_guest() { tar -xOf "$home/result.tar" ./status 2>/dev/null || :; }

make_files() {
    say "making the files of the guest ($release)"
    fresh=$(mktemp -d "$home/fresh.XXXXXX")
    pack "$home/checkout.tar"
    # The guest believes whom this machine believes: what serves packages here may have a certificate of its own.
    bundle=/etc/ssl/certs/ca-certificates.crt
    mmdebstrap --quiet --variant=apt --include="$packages" \
        --customize-hook="[ ! -f $bundle ] || cp $bundle \"\$1$bundle\"" \
        --customize-hook="mkdir -p \"\$1$work\" && tar -xf $home/checkout.tar -C \"\$1$work\"" \
        --customize-hook="chroot \"\$1\" sh $work/tests/guest/in_tree.sh $work" \
        "$release" "$fresh/tree"
    cp "$fresh"/tree/boot/vmlinuz-* "$home/vmlinuz-$key"
    cp "$fresh"/tree/boot/initrd.img-* "$home/initrd-$key"
    mke2fs -q -F -t ext4 -L root -d "$fresh/tree" "$fresh/image" 8G
    for old in "$home"/files-* "$home"/image-* "$home"/vmlinuz-* "$home"/initrd-*; do
        case $old in *-"$key") ;; *) rm -f "$old" ;; esac
    done
    mv "$fresh/image" "$home/files-$key"
    rm -rf --one-file-system "$fresh"
    fresh=
}

# The guest itself makes the image of its sandboxes, as any host does that has none.
make_image() {
    say "making the image of the sandboxes; this and the files are made once"
    cp --sparse=always "$home/files-$key" "$home/unfinished"
    SNAPSHOT='' boot "$home/unfinished" make
    [ "$(status_of_guest)" = 0 ] || fail "the guest could not make the image of the sandboxes"
    mv "$home/unfinished" "$home/image-$key"
    rm "$home/files-$key"
}

need_tools
mkdir -p "$home"
exec 9>"$home/lock"
flock -n 9 || { say "another run is under way: waiting for its end"; flock 9; }
key=$(key)
[ -f "$home/image-$key" ] || [ -f "$home/files-$key" ] || make_files
[ -f "$home/image-$key" ] || make_image
pack "$home/checkout.tar"
for argument in "$@"; do printf '%s\n' "$argument"; done >"$home/arguments"
tar -rf "$home/checkout.tar" --transform='s,.*,.guest-arguments,' "$home/arguments"
SNAPSHOT=1 boot "$home/image-$key" test
rm -rf "$home/result"
mkdir "$home/result"
tar -xf "$home/result.tar" -C "$home/result" 2>/dev/null || fail "the guest left no result: it did not come to its end"
status=$(cat "$home/result/status")
say "pytest ended with status $status; what it said is in $home/result"
exit "$status"
