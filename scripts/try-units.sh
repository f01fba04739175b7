#!/bin/bash
# Starts examples/deploy/systemd/mcbn-participant@.service with a real systemd as process 1, in namespaces of
# processes, mounts, network and cgroups, over a copy-on-write view of this machine: nothing is left behind. The unit
# is reloaded, killed, stopped, and started with a wrong key. As root, on Debian with systemd; `npm run build` first.
#
#   bash scripts/try-units.sh        prints what was seen; the last line is DONE
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
if [ "${1:-}" != inside ]; then
  [ -e "$here/dist/cli/main.js" ] || { echo 'expected dist/: npm run build'; exit 2; }
  base=$(mktemp -d)
  group=/sys/fs/cgroup/unified
  [ -d "$group" ] || group=/sys/fs/cgroup
  group=$group/mcbn-units-$$
  mkdir "$base/view" "$base/out" "$group"
  ended() {
    rm -rf "$base"
    # Emptied by the kernel a moment after its last process.
    for _ in 1 2 3 4 5 6 7 8 9 10; do
      find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || true
      [ -d "$group" ] || break
      sleep 0.2
    done
  }
  trap ended EXIT
  cat >"$base/make.ts" <<TS
import { cpSync } from 'node:fs'
import { Stage } from '$here/bench/lib/consent-rounds.js'
const stage = await Stage.make()
cpSync(stage.folder, '$base/alice', { recursive: true })
cpSync(stage.keyFile, '$base/alice.key')
stage[Symbol.dispose]()
TS
  echo '{ "type": "module" }' >"$base/package.json"
  (cd "$here" && npx tsx "$base/make.ts")
  (
    echo $BASHPID >"$group/cgroup.procs"
    exec timeout -s KILL 120 unshare -m -p -f -C -u -i -n --kill-child "$0" inside "$base"
  ) </dev/null >"$base/out/systemd.log" 2>&1 || true
  cat "$base/out/systemd.log" "$base/out/check.log"
  tail -n 1 "$base/out/check.log" | grep -qx DONE
  exit
fi

base=$2
root=$base/view/root
mount --make-rprivate /
mount -t tmpfs tmpfs "$base/view"
mkdir "$base/view/upper" "$base/view/work" "$root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$base/view/upper,workdir=$base/view/work" "$root"
mount -t proc proc "$root/proc"
# Not this machine's settings.
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
for folder in run tmp dev; do mount -t tmpfs tmpfs "$root/$folder"; done
mkdir "$root/dev/pts" "$root/dev/shm" "$root/out" "$root/oldroot"
for device in null zero full random urandom tty; do
  touch "$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
mount -t devpts devpts "$root/dev/pts" -o newinstance,ptmxmode=0666
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
mount --bind "$base/out" "$root/out"

install -d -m 700 "$root/etc/mcbn" "$root/var/lib/private" "$root/var/lib/private/mcbn"
install -m 600 "$base/alice.key" "$root/etc/mcbn/alice.key"
cp -a "$base/alice" "$root/var/lib/private/mcbn/alice"
# /tmp is another one in there.
cp -a "$here/dist" "$here/package.json" "$root/usr/lib/" && mkdir "$root/usr/lib/mcbn"
mv "$root/usr/lib/dist" "$root/usr/lib/package.json" "$root/usr/lib/mcbn/"
mkdir "$root/usr/lib/mcbn/node_modules" "$root/usr/lib/mcbn/build"
mount --bind "$here/node_modules" "$root/usr/lib/mcbn/node_modules"
mount --bind "$here/build" "$root/usr/lib/mcbn/build"
printf '#!/bin/sh\nexec %s /usr/lib/mcbn/dist/cli/main.js "$@"\n' "$(command -v node)" >"$root/usr/bin/mcbn"
chmod 755 "$root/usr/bin/mcbn"

units=$root/etc/systemd/system
cp "$here/examples/deploy/systemd/mcbn-participant@.service" "$units/"
# Whatever would be for this machine, or for its devices.
for unit in systemd-udevd.service systemd-udev-trigger.service systemd-sysctl.service systemd-modules-load.service \
  systemd-random-seed.service systemd-remount-fs.service systemd-binfmt.service systemd-update-utmp.service \
  systemd-hwdb-update.service systemd-pstore.service systemd-timesyncd.service systemd-networkd.service \
  systemd-resolved.service systemd-udevd-kernel.socket systemd-udevd-control.socket apparmor.service \
  keyboard-setup.service networking.service dev-hugepages.mount dev-mqueue.mount sys-kernel-debug.mount \
  sys-kernel-tracing.mount sys-kernel-config.mount sys-fs-fuse-connections.mount \
  proc-sys-fs-binfmt_misc.automount proc-sys-fs-binfmt_misc.mount; do
  ln -sf /dev/null "$units/$unit"
done
cat >"$units/mcbn-check.service" <<'UNIT'
[Unit]
After=mcbn-participant@alice.service
[Service]
Type=oneshot
ExecStart=/bin/bash /etc/mcbn/check.sh
UNIT
printf '[Unit]\nWants=mcbn-participant@alice.service mcbn-check.service\n' >"$units/mcbn-try.target"

cat >"$root/etc/mcbn/check.sh" <<'CHECK'
exec >/out/check.log 2>&1
unit=mcbn-participant@alice.service
of() { systemctl show "$unit" -p "$1" --value; }
# Until it answers, or systemd has given it up.
answers() {
  until (exec 3<>/dev/tcp/127.0.0.1/7001) 2>/dev/null; do
    [ "$(of ActiveState)" != failed ] || { echo 'it does not start'; return; }
    sleep 0.2
  done
}
ask() { node -e "fetch('$1').then(async (got) => console.log('$1', got.status, (await got.text()).slice(0, 60)))"; }
answers
systemctl --version | head -n 1
pid=$(of MainPID)
echo "started: $(of ActiveState), user $(stat -c %U "/proc/$pid"), its folder $(stat -c '%a %U' /var/lib/private/mcbn/alice)"
grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' "/proc/$pid/status"
grep 'Max core' "/proc/$pid/limits"
echo "root file system: $(awk '$5 == "/" { print $6; exit }' "/proc/$pid/mountinfo")"
ask http://127.0.0.1:7001/v1/status
ask http://127.0.0.1:9464/readyz
systemctl reload "$unit" && echo reloaded
kill -9 "$pid"
until [ "$(of NRestarts)" = 1 ]; do sleep 0.2; done
answers
echo "after kill -9: $(of ActiveState), restarts $(of NRestarts)"
ask http://127.0.0.1:7001/v1/status
systemctl stop "$unit"
echo "stopped: $(of ActiveState), $(of Result), code $(of ExecMainStatus)"
head -c 32 /dev/urandom >/etc/mcbn/alice.key
systemctl start "$unit"
until [ "$(of ActiveState)" = failed ]; do sleep 0.2; done
echo "with a wrong key: $(of ActiveState), code $(of ExecMainStatus), restarts $(of NRestarts)"
journalctl -u "$unit" --no-pager -o cat | cut -c1-160
echo DONE
systemctl exit 0
CHECK

ip link set lo up
cd "$root"
pivot_root . oldroot
umount -l /oldroot
# Credentials are mounted by a helper, and have to be seen from here.
mount --make-rshared /
exec env -i container=mcbn PATH=/usr/sbin:/usr/bin:/sbin:/bin setpriv \
  --bounding-set=-sys_time,-sys_module,-sys_boot,-sys_rawio,-syslog,-wake_alarm,-mac_admin,-mac_override --inh-caps=-all \
  /lib/systemd/systemd --unit=mcbn-try.target --log-target=journal --show-status=no
