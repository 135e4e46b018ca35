#!/bin/sh
# Runs in the files of the guest while they are made, by `run.sh`: everything that needs no guest that runs.
set -eu
cd "$1"

pip() { .venv/bin/python -m pip "$@" --quiet --quiet --disable-pip-version-check; }

python3 -m venv .venv
pip install --require-hashes --requirement constraints.txt
pip install --no-index --no-deps --no-build-isolation --editable .

echo guest >/etc/hostname
printf '127.0.0.1 localhost guest\n' >/etc/hosts
# The network of qemu's user mode: addresses are always these.
printf '[Match]\nType=ether\nKind=!*\n[Network]\nAddress=10.0.2.15/24\nGateway=10.0.2.2\n' >/etc/systemd/network/80-guest.network
rm -f /etc/resolv.conf
echo 'nameserver 10.0.2.3' >/etc/resolv.conf
printf 'LABEL=root / ext4 defaults 0 0\n' >/etc/fstab
cat >/etc/systemd/system/guest.service <<UNIT
[Unit]
Wants=docker.service network-online.target
After=docker.service network-online.target
SuccessAction=poweroff
FailureAction=poweroff
[Service]
Type=oneshot
TimeoutStartSec=infinity
WorkingDirectory=$1
Environment=HOME=/root LANG=C.UTF-8
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS0
ExecStart=/bin/sh -c 'find . -mindepth 1 -maxdepth 1 ! -name .venv ! -name .faas -exec rm -rf {} + && tar -xf /dev/disk/by-id/virtio-checkout && exec sh tests/guest/inside.sh'
[Install]
WantedBy=multi-user.target
UNIT
systemctl --quiet enable guest.service systemd-networkd.service docker.service
systemctl --quiet mask serial-getty@ttyS0.service apt-daily.timer apt-daily-upgrade.timer
